/** What a ContentPolicy says against itself: every fault at once. Pure. */
import type { Fault } from "../schema-faults.ts";
import type { ContentPolicySpec, Prefetch } from "./content-policy.ts";
import { isTimeZone, type PrefetchWindow } from "./prefetch-window.ts";
import { rulesOf } from "./spec-rules.ts";

const rule = rulesOf<ContentPolicySpec>();

export const CONTENT_POLICY_RULES = [
  rule(["prefetch"], ({ prefetch }) => windowsOf(prefetch).flatMap(windowFaults)),
  rule(["prefetch"], ({ prefetch }) => repeatFaults(windowsOf(prefetch))),
  rule(["offline"], offlineFaults),
];

function windowsOf(prefetch: Prefetch): readonly PrefetchWindow[] {
  return typeof prefetch === "string" ? [] : prefetch.windows;
}

function windowFaults({ days = [], from, to, timeZone }: PrefetchWindow, index: number): Fault[] {
  const at = `spec.prefetch.windows[${index}]`;
  const pointer = `/spec/prefetch/windows/${index}`;
  const twice = days.find((day, position) => days.indexOf(day) !== position);
  return [
    ...(from === to
      ? [
          {
            pointer: `${pointer}/to`,
            message: `${at} is empty: it is from ${from} to ${to}; all day is 00:00 to 24:00`,
          },
        ]
      : []),
    ...(twice === undefined
      ? []
      : [{ pointer: `${pointer}/days`, message: `${at}.days must name a day once, got ${twice} twice` }]),
    ...(timeZone === undefined || isTimeZone(timeZone)
      ? []
      : [
          {
            pointer: `${pointer}/timeZone`,
            message: `${at}.timeZone must be a time zone of the IANA database, as Europe/Lisbon, got ${JSON.stringify(timeZone)}`,
          },
        ]),
  ];
}

function repeatFaults(windows: readonly PrefetchWindow[]): Fault[] {
  const texts = windows.map(({ days = [], from, to, timeZone }) =>
    JSON.stringify([days.toSorted(), from, to, timeZone]),
  );
  return texts.flatMap((text, index): Fault[] => {
    const first = texts.indexOf(text);
    if (first === index) return [];
    const message = `spec.prefetch.windows[${index}] says what windows[${first}] says: leave one out`;
    return [{ pointer: `/spec/prefetch/windows/${index}`, message }];
  });
}

function offlineFaults({ offline }: Pick<ContentPolicySpec, "offline">): Fault[] {
  const { maxStaleSeconds, denyAfterSeconds } = offline ?? {};
  if (maxStaleSeconds === undefined || denyAfterSeconds === undefined || maxStaleSeconds <= denyAfterSeconds) return [];
  return [
    {
      pointer: "/spec/offline",
      message: `spec.offline.maxStaleSeconds (${maxStaleSeconds}) must not exceed denyAfterSeconds (${denyAfterSeconds})`,
    },
  ];
}
