/** What tags of TSX become: children stand behind the properties, which is shorter than among them. */
export { Fragment, createElement as h } from "preact";
