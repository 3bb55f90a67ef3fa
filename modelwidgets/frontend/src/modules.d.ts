/** Modules that bundle.mjs makes. */
declare module "modelwidgets:shared" {}

declare module "*.css" {
  const text: string;
  export default text;
}
