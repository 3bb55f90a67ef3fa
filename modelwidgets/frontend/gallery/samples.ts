/** Records as a kernel would send them, for the gallery and the tests. */
export * from "./samples/catalog";
export * from "./samples/details";
export * from "./samples/fit";
export * from "./samples/installed";
export * from "./samples/known";
export * from "./samples/machine";
export * from "./samples/notices";
export * from "./samples/pulls";
export { ago, digestOf } from "./samples/units";
