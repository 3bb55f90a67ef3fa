import type { CatalogModel, CatalogTag } from "./records";

/** The tag to take where nothing speaks for another. */
export function recommendedOf(family: CatalogModel): CatalogTag | null {
  return family.tags.find((tag) => tag.recommended) ?? family.tags[0] ?? null;
}
