import { type ComponentChildren, type FunctionComponent, createElement } from "preact";

/** A view that is drawn again only when one of its properties is another one than before. */
export function memo<P extends object>(view: FunctionComponent<P>): FunctionComponent<P> {
  function Memo(
    this: { shouldComponentUpdate?: (next: P) => boolean; props: P },
    props: P,
  ): ComponentChildren {
    this.shouldComponentUpdate = (next) => differs(this.props, next);
    return createElement(view, props);
  }
  return Memo as FunctionComponent<P>;
}

function differs(one: object, other: object): boolean {
  const [before, after] = [Object.entries(one), Object.entries(other)];
  return (
    before.length !== after.length ||
    before.some(([key, value]) => (other as Record<string, unknown>)[key] !== value)
  );
}
