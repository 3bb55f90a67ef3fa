/** What is known of a server that runs. */
import type { Slices } from "../../src/host";
import { catalog } from "./catalog";
import { fits } from "./fit";
import { installed, running } from "./installed";
import { devices, disk, service } from "./machine";

export const known: Partial<Slices> = { service, devices, installed, running, catalog, disk, fits };
