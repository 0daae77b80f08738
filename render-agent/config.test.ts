import fc from "fast-check";
import t from "tap";
import { Failure, isFailure } from "#domain/failure.ts";
import { loadConfig } from "#platform/config/load.ts";
import { agentConfigSchema, checkAgentConfig, portCountOf } from "./config.ts";
import { reasonsAgainst } from "./readiness.ts";

const edge = { name: "near-1", control: "127.0.0.1:7421", enrolment: "127.0.0.1:7422" };

function load(changes: object) {
  return loadConfig(agentConfigSchema, { text: JSON.stringify({ name: "gpu-1", edges: [edge], ...changes }) });
}

t.test("a name and an edge are enough", async (t) => {
  const config = load({});
  checkAgentConfig(config);
  t.match(config, {
    listen: { websocket: "127.0.0.1:7431", admin: "127.0.0.1:7439" },
    media: { bindAddress: "127.0.0.1", portBegin: 0, portEnd: 0 },
    capacity: { spares: 1 },
    foveation: "gaze",
  });
  t.equal(portCountOf(config.media), undefined);
  t.equal(portCountOf({ ...config.media, portBegin: 7000, portEnd: 7003 }), 4);
});

t.test("what contradicts itself is refused, every fault at once", async (t) => {
  const wrong: readonly [object, RegExp][] = [
    [{ media: { portBegin: 7001, portEnd: 7000 } }, /media\.portEnd/],
    [{ media: { portBegin: 0, portEnd: 7000 } }, /media\.portEnd/],
    [{ edges: [edge, edge] }, /different names/],
    [{ websocketUrl: "ws://agent.example:7431" }, /must be wss/],
    [{ listen: { websocket: "0.0.0.0:7431" } }, /must be loopback/],
    [{ listen: { websocket: "0.0.0.0:7431" }, websocketUrl: "ws://127.0.0.1:1" }, /must be loopback/],
  ];
  for (const [changes, message] of wrong) {
    t.throws(() => checkAgentConfig(load(changes)), { code: "config-invalid", message }, JSON.stringify(changes));
  }
  const both = load({ edges: [edge, edge], media: { portBegin: 5, portEnd: 1 } });
  t.throws(() => checkAgentConfig(both), { message: /portEnd.*\n.*different names/ });
  checkAgentConfig(load({ listen: { websocket: "0.0.0.0:7431" }, websocketUrl: "wss://agent.example" }));
  checkAgentConfig(load({ websocketUrl: "ws://[::1]:7431" }));
});

t.test("an agent's ways to be found are those that it knows, and do not contradict each other", async (t) => {
  const turn = { urls: ["turn:turn.example"], secretFile: "./secret" };
  const media = (changes: object) => load({ media: changes });
  const wrong: readonly [object, RegExp][] = [
    [{ iceServers: [{ ...turn, urls: ["turn:a?transport=tcp"] }] }, /turn:a\?transport=tcp must be by UDP without TLS/],
    [{ iceServers: [{ ...turn, urls: ["turns:a?transport=udp"] }] }, /turns:a\?transport=udp must be by UDP/],
    [{ iceServers: [{ urls: ["stuns:a"] }] }, /stuns:a must be by UDP/],
    [{ iceServers: [{ urls: ["stun:a"] }], advertise: { address: "192.0.2.1" } }, /exclude each other/],
    [{ iceServers: [turn], portBegin: 7000, portEnd: 7003 }, /with turn: needs media\.portBegin and portEnd 0/],
  ];
  for (const [changes, message] of wrong) {
    t.throws(() => checkAgentConfig(media(changes)), { code: "config-invalid", message }, JSON.stringify(changes));
  }
  checkAgentConfig(media({ iceServers: [{ urls: ["stun:a"] }, turn] }));
  checkAgentConfig(media({ iceServers: [{ urls: ["stun:a"] }], portBegin: 7000, portEnd: 7003 }));
});

t.test("a range of ports has as many as sessions can use", async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }), (portBegin, portEnd) => {
      const config = load({ media: { portBegin, portEnd } });
      try {
        checkAgentConfig(config);
      } catch (error) {
        return portEnd < portBegin && isFailure(error, "config-invalid");
      }
      return portCountOf(config.media) === portEnd - portBegin + 1 && portEnd >= portBegin;
    }),
    { numRuns: 50 },
  );
  t.pass("held");
});

t.test("every reason against new sessions is said, the first to mend first", async (t) => {
  const good = {
    health: { kind: "good", adapterName: "x", isSoftware: true } as const,
    isStopping: false,
    hasSet: true,
    node: { role: "agent", pool: "near", cordoned: false, draining: false } as const,
    missing: undefined,
  };
  t.same(reasonsAgainst(good), []);
  t.same(reasonsAgainst({ ...good, node: undefined }), [], "a node that has just joined is not closed");
  const failed = { kind: "failed", failure: new Failure("encoder-unavailable", "none") } as const;
  t.same(reasonsAgainst({ ...good, health: failed, missing: "calibrating" }), ["encoder-unavailable", "calibrating"]);
  t.same(reasonsAgainst({ ...good, health: { kind: "starting" } }), ["gpu-starting"]);
  t.same(reasonsAgainst({ ...good, hasSet: false, missing: "no-app" }), ["no-desired-state"]);
  t.same(reasonsAgainst({ ...good, node: { ...good.node, cordoned: true } }), ["cordoned"]);
  t.same(reasonsAgainst({ ...good, isStopping: true, node: { ...good.node, cordoned: true, draining: true } }), [
    "stopping",
    "draining",
  ]);
});
