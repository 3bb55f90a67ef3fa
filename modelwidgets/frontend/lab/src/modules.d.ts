/** What `../views/panel.js`, which is built from `frontend/src/panel.ts`, offers. */
declare module "*/views/panel.js" {
  export interface Host {
    call(method: string, params: object): Promise<unknown>;
    on(event: "change", listener: (what: string) => void): () => void;
    close(): void;
  }
  export class SocketModel {
    constructor(open: () => WebSocket);
    close(): void;
  }
  export function hostOf(socket: SocketModel, options?: object): Host;
  export function show(el: HTMLElement, socket: SocketModel, options?: object): () => void;
  export function inShort(host: Host): { text: string; title: string; state: string };
}

declare module "*.css" {
  const nothing: never;
  export default nothing;
}
