/** Door 1: a notebook cell, whose model is anywidget's. */
import { fetchPart, fetchedPart } from "./fetched";
import type { Host } from "./host";
import { type Model, ModelHost } from "./modelhost";
import { mount } from "./mount";
import * as say from "./strings";

const LOST = { mark: say.notLive, reason: say.lost };

type Calling = Pick<Host, "call">;

interface RenderProps {
  /** `widget_manager` is one for all widgets of a kernel, where the host has it. */
  model: Model & { readonly widget_manager?: object };
  el: HTMLElement;
}

function render({ model, el }: RenderProps, memory: Map<string, unknown>): () => void {
  const owner = model.widget_manager ?? model;
  const way = { lost: LOST, later: fetchedPart(), load: (host: Calling) => fetchPart(host, owner) };
  const host = new ModelHost(model, way, memory);
  const unmount = mount(el, host);
  return () => {
    unmount();
    host.close();
  };
}

/** A function, so that each widget model has a memory of its own, which its views hand on. */
export default () => {
  const memory = new Map<string, unknown>();
  return { render: (props: RenderProps) => render(props, memory) };
};
