import { familyKey } from "../names";
import type { CatalogModel, CatalogTag, ModelDetails } from "../records";

/** What others are compared with. */
export interface Subject {
  name: string;
  categories: readonly string[];
  /** Null where it is not known, or where it says nothing because the weights are elsewhere. */
  bytes: number | null;
}

const CATEGORY_OF: Record<string, string> = {
  embedding: "embedding",
  vision: "vision",
  thinking: "reasoning",
  tools: "tools",
};
const SHOWN = 5;
/** An unknown size counts as one that is eight times as large. */
const UNKNOWN_DISTANCE = 3;

/** The categories and the size of a model; one that the catalog does not know tells by what it can do. */
export function subjectOf({ name, installed, info, catalog }: ModelDetails, tag: CatalogTag | null): Subject {
  const can = (info ?? installed)?.capabilities ?? [];
  const told = can.flatMap((one) => CATEGORY_OF[one] ?? []);
  const bytes = installed?.remote_host ? null : (installed?.size_bytes ?? tag?.size_bytes ?? null);
  return { name, bytes, categories: catalog?.categories ?? (told.length > 0 ? told : ["chat"]) };
}

/**
 * The tags of other families that are most like a model: of the same categories, and of nearly its
 * size. One tag a family; ties go to the family that is pulled more, then by name.
 */
export function alike(subject: Subject, models: readonly CatalogModel[], count = SHOWN): CatalogTag[] {
  const own = familyKey(subject.name);
  return models
    .filter((model) => familyKey(model.name) !== own)
    .flatMap((model) => {
      const apart = categoriesApart(subject.categories, model.categories);
      const nearest = nearestTag(model.tags, subject.bytes);
      return apart === 1 || !nearest ? [] : [{ model, tag: nearest.tag, distance: apart + nearest.distance }];
    })
    .toSorted(
      (one, other) =>
        one.distance - other.distance ||
        (other.model.pulls ?? 0) - (one.model.pulls ?? 0) ||
        (one.model.name < other.model.name ? -1 : 1),
    )
    .slice(0, count)
    .map(({ tag }) => tag);
}

/** 0 where they are the same, 1 where they have none in common. */
function categoriesApart(one: readonly string[], other: readonly string[]): number {
  const both = one.filter((category) => other.includes(category)).length;
  return 1 - both / new Set([...one, ...other]).size;
}

/** The tag whose size is nearest, counted in doublings; the recommended one of equal ones. */
function nearestTag(
  tags: readonly CatalogTag[],
  bytes: number | null,
): { tag: CatalogTag; distance: number } | null {
  const measured = tags.map((tag) => ({ tag, distance: sizesApart(tag.size_bytes, bytes) }));
  return measured.reduce<(typeof measured)[number] | null>((best, one) => {
    const closer = best === null || one.distance < best.distance;
    const preferred = best !== null && one.distance === best.distance && one.tag.recommended;
    return closer || (preferred && !best?.tag.recommended) ? one : best;
  }, null);
}

function sizesApart(one: number | null, other: number | null): number {
  if (other === null) return 0;
  return one ? Math.abs(Math.log2(one / other)) : UNKNOWN_DISTANCE;
}
