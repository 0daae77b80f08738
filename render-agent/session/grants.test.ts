/** Grants are verified by what the agent holds alone: who signed, for whom, for when, by which key. */
import t from "tap";
import { isFailure } from "#domain/failure.ts";
import type { RevocationSpec } from "#domain/fleet/revocation.ts";
import { systemClock } from "#platform/clock.ts";
import { createAuthority } from "#platform/identity/authority.ts";
import { systemRandom } from "#platform/random.ts";
import { PoolWorld, SCHEDULER, THUMBPRINT } from "#test/render-agent/pool-world.ts";
import { isRevoked } from "../control/pool-view.ts";
import { verifyGrant } from "./grants.ts";

const world = await PoolWorld.open();
const stranger = await createAuthority("another", { clock: systemClock, random: systemRandom });
const nowSeconds = Math.floor(systemClock.nowMs() / 1000);
const EDGE = { role: "edge", pool: "near", name: "near-1" } as const;

function verify(token: string, options: { thumbprint?: string; revoked?: RevocationSpec["subject"][] } = {}) {
  const { thumbprint = THUMBPRINT, revoked = [] } = options;
  const resources = new Map(
    revoked.map((subject, index) => {
      const metadata = { name: `r${index}`, labels: {}, generation: 1, resourceVersion: 1, createdAtMs: 1 };
      const spec = { subject, reason: "test", subjectExpiresAtMs: 0 };
      return [`Revocation/r${index}`, { apiVersion: "perigee.dev/v1", kind: "Revocation", metadata, spec } as const];
    }),
  );
  return verifyGrant(
    {
      pool: "near",
      trust: () => ({ authorities: [world.authority.certificate] }),
      isRevoked: (subject) => isRevoked(resources, subject),
      nowMs: () => systemClock.nowMs(),
    },
    { token, thumbprint },
  );
}

t.test("a scheduler's placement, an edge's own placement and an edge's ticket are taken", async (t) => {
  t.match(await verify(await world.placement()), { session: "session-1", app: "hall", renderClass: "tiny" });
  t.match(await verify(await world.placement({ attempt: 7 }, EDGE)), { attempt: 7 });
  t.match(await verify(await world.ticket({ attempt: 3 })), { attempt: 3 });
});

const REFUSED: Readonly<Record<string, () => Promise<string>>> = {
  "certificate-untrusted another authority": () => world.placement({}, SCHEDULER, stranger),
  "certificate-untrusted a render-agent signs nothing": () =>
    world.placement({}, { role: "agent", pool: "near", name: "gpu-1" }),
  "certificate-untrusted a scheduler signs no ticket": () => world.ticket({}, SCHEDULER),
  "placement-refused another pool": () => world.placement({ pool: "far" }),
  "token-invalid an edge of another pool": () => world.placement({}, { ...EDGE, pool: "far", name: "far-1" }),
  "token-invalid a ticket by an edge of another pool": () => world.ticket({}, { ...EDGE, pool: "far", name: "far-1" }),
  "token-expired late": () => world.placement({ exp: nowSeconds - 60 }),
  "token-expired a late ticket": () => world.ticket({ exp: nowSeconds - 60 }),
  "token-invalid claims that are none": () => world.ticket({ attempt: "two" }),
  "token-invalid no token": async () => "a.b.c",
  "token-invalid bytes": async () => "\u0000",
};

t.test("every other grant is refused by name", async (t) => {
  for (const [expected, make] of Object.entries(REFUSED)) {
    const code = await verify(await make()).then(
      () => "taken",
      (error: unknown) => (isFailure(error) ? error.code : String(error)),
    );
    t.equal(code, expected.split(" ", 1)[0], expected);
  }
});

t.test("a grant for another key than the one proved is refused", async (t) => {
  await t.rejects(verify(await world.placement(), { thumbprint: "x".repeat(43) }), { code: "proof-invalid" });
});

t.test("a signer that was revoked is believed no more, by name or by certificate", async (t) => {
  const token = await world.placement();
  const { chain } = await world.signer(SCHEDULER);
  const certificateSerial = chain?.[0]?.serialNumber.toLowerCase() ?? "";
  const node = { kind: "node", name: "sched-1" } as const;
  await t.rejects(verify(token, { revoked: [node] }), { code: "token-revoked" });
  await t.rejects(verify(token, { revoked: [{ ...node, certificateSerial }] }), { code: "token-revoked" });
  t.match(
    await verify(token, {
      revoked: [
        { ...node, certificateSerial: "00" },
        { kind: "token", id: "x" },
      ],
    }),
    {},
  );
});
