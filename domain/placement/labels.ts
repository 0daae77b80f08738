/** What operators say of their resources in words of their own, and whether it meets a policy's requirements. Pure. */
import type { LabelRequirement } from "../policy/placement-policy.ts";

export type Labels = Readonly<Record<string, string>>;

export function meetsRequirement(labels: Labels, requirement: LabelRequirement): boolean {
  const value = Object.hasOwn(labels, requirement.label) ? labels[requirement.label] : undefined;
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}
