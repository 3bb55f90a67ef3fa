/** What is loaded when it is first needed: the views with their rules. */
import "../views/panel.css";

export * from "../views/panel.js";
