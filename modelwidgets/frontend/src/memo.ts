import { type ComponentChildren, type FunctionComponent, createElement } from "preact";

import { sameParts } from "./sharing";

/** A view that is drawn again only when one of its properties is another one than before. */
export function memo<P extends object>(view: FunctionComponent<P>): FunctionComponent<P> {
  function Memo(
    this: { shouldComponentUpdate?: (next: P) => boolean; props: P },
    props: P,
  ): ComponentChildren {
    this.shouldComponentUpdate = (next) => !sameParts(this.props, next);
    return createElement(view, props);
  }
  return Memo as FunctionComponent<P>;
}
