/** Labels in the name of Perigee that say nothing: misspelt, or no number where one is read. Pure. */

import { suggestionOf } from "../nearest-names.ts";
import { type Labels, labelsOfPool, POOL_LABEL, REGION_LABEL } from "../placement/labels.ts";
import type { KindAndSpec } from "../policy/contradictions.ts";
import { escapePointer, type Fault } from "../schema-faults.ts";
import { COST_LABEL, GPUS_LABEL, numberOfLabel, RENDER_ENCODE_LABEL, SLOTS_LABEL } from "./fleet-pools.ts";
import { BUNDLE_BYTES_LABEL } from "./pool-reports.ts";

const RESERVED_PREFIX = "perigee.dev/";
/** Numbers from 0, each. */
const POOL_NUMBERS = [SLOTS_LABEL, GPUS_LABEL, RENDER_ENCODE_LABEL, COST_LABEL];
const APP_NUMBERS = [BUNDLE_BYTES_LABEL];

type Labelled = KindAndSpec & { readonly metadata: { readonly name: string; readonly labels: Labels } };

export function findLabelWarnings(resource: Labelled): readonly Fault[] {
  const { labels } = resource.metadata;
  switch (resource.kind) {
    case "NodePool":
      return warningsOf("NodePool", labels, { numbers: POOL_NUMBERS, fixed: ofItself(labelsOfPool(resource)) });
    case "RenderApp":
      return warningsOf("RenderApp", labels, { numbers: APP_NUMBERS, fixed: {} });
    default:
      return [];
  }
}

function ofItself({ [POOL_LABEL]: pool = "", [REGION_LABEL]: region = "" }: Labels): Labels {
  return { [POOL_LABEL]: pool, [REGION_LABEL]: region };
}

interface Reserved {
  readonly numbers: readonly string[];
  /** That it has whatever is written. */
  readonly fixed: Labels;
}

function warningsOf(kind: string, labels: Labels, { numbers, fixed }: Reserved): Fault[] {
  return Object.entries(labels).flatMap(([label, value]): Fault[] => {
    if (!label.startsWith(RESERVED_PREFIX)) return [];
    const pointer = `/metadata/labels/${escapePointer(label)}`;
    const warn = (words: string): Fault[] => [{ pointer, message: `metadata.labels: ${label} ${words}` }];
    if (Object.hasOwn(fixed, label)) {
      return fixed[label] === value ? [] : warn(`is always ${fixed[label]}: ${JSON.stringify(value)} is not taken`);
    }
    if (!numbers.includes(label)) {
      const known = `labels of that prefix that a ${kind} may have are ${numbers.join(", ")}`;
      const suggestion = suggestionOf(label, numbers);
      return warn(`says nothing${suggestion === "" ? ":" : suggestion} ${known}`);
    }
    if (numberOfLabel(labels, label) !== undefined) return [];
    return warn(`must be a number from 0, got ${JSON.stringify(value)}: it counts as not given`);
  });
}
