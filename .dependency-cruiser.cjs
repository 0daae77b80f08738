/** Which folder may import which (the arrows of ARCHITECTURE.md), and which folder owns which library. */

const TESTS = "(\\.test\\.ts$|\\.bench\\.ts$|^test/|^[^/]+/bench/)";
const SERVICES = "(origin|edge-node|scheduler|render-agent)";

/** library → the only places, besides tests, that may name it. */
const OWNERS = {
  "@jitl/.+": "^render-agent/apps/",
  "@fastify/.+": "^platform/http/",
  "@grpc/.+": "^platform/grpc/",
  "@jsquash/jpeg": "^render-agent/",
  "@marcbachmann/cel-js": "^platform/cel/",
  "@peculiar/x509": "^platform/identity/",
  "@jsquash/.+": "^render-agent/",
  "acme-client": "^platform/acme/",
  "cli-table3": "^cli/",
  commander: "^(cli/|platform/lifecycle/)",
  esbuild: "^(cli|deploy|client)/",
  "geoip-lite": "^scheduler/geo/",
  geokdbush: "^scheduler/geo/",
  kdbush: "^scheduler/geo/",
  ioredis: "^platform/redis/",
  jose: "^platform/identity/",
  "node-av": "^render-agent/",
  "node-datachannel": "^render-agent/",
  pino: "^platform/logging",
  "prom-client": "^platform/metrics/",
  "quickjs-emscripten-core": "^render-agent/apps/",
  "reflect-metadata": "^platform/identity/",
  undici: "^(edge-node/upstream|cli)/",
  webgpu: "^render-agent/",
  ws: "^render-agent/",
  yaml: "^(platform/(yaml|config)|cli)/",
};

const arrow = (name, from, allowed, because) => ({
  name,
  comment: because,
  severity: "error",
  from: { path: from, pathNot: TESTS },
  to: { path: "^[a-z][a-z0-9-]*/", pathNot: [allowed, "(^|/)node_modules/"], dependencyTypesNot: ["core"] },
});

const owner = ([library, place]) => ({
  name: `owner-${library.replace(/[^a-z0-9]+/g, "-")}`,
  comment: `only ${place} names ${library}`,
  severity: "error",
  from: { path: "\\.ts$", pathNot: [place, TESTS, "^deploy/bare-root/"] },
  to: { path: `(^|/)node_modules/${library}/` },
});

module.exports = {
  forbidden: [
    {
      name: "domain-imports-nothing",
      comment: "domain is pure: it imports only itself and the schema library that its types are written in",
      severity: "error",
      from: { path: "^domain/", pathNot: TESTS },
      to: { pathNot: ["^domain/", "(^|/)node_modules/typebox/"] },
    },
    {
      name: "caching-rules-are-pure",
      comment: "decisions of edge-node/caching import only pure modules",
      severity: "error",
      from: { path: "^edge-node/caching/", pathNot: TESTS },
      to: { pathNot: ["^edge-node/caching/", "^domain/", "(^|/)node_modules/(structured-headers|typebox)/"] },
    },
    arrow("contracts-import-domain", "^contracts/", "^(contracts|domain)/", "contracts → domain"),
    arrow("platform-imports-domain", "^platform/", "^(platform|domain)/", "platform → domain"),
    {
      name: "services-never-each-other",
      comment: "services meet only on the wire",
      severity: "error",
      from: { path: `^${SERVICES}/`, pathNot: TESTS },
      to: { path: "^[a-z][a-z0-9-]*/", pathNot: ["^$1/", "^(contracts|domain|platform)/", "(^|/)node_modules/"], dependencyTypesNot: ["core"] },
    },
    {
      name: "services-never-each-other-in-tests",
      comment: "a service's test has simulated ports, not another service",
      severity: "error",
      from: { path: `^${SERVICES}/.*\\.test\\.ts$` },
      to: { path: `^${SERVICES}/`, pathNot: "^$1/" },
    },
    arrow("client-imports-domain-and-contracts", "^client/", "^(client|domain|contracts)/", "client → domain, contracts"),
    arrow("deploy-starts-processes", "^deploy/", "^(deploy|domain|contracts|platform)/", "deploy starts programs, it does not import them"),
    arrow("loadtests-import-themselves", "^loadtests/(?!hollow-edges/)", "^loadtests/", "k6 is not Node"),
    {
      name: "client-has-no-node",
      comment: "the client runs in browsers",
      severity: "error",
      from: { path: "^client/", pathNot: [TESTS, "^client/(build|bundle)"] },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "nothing-imports-test",
      severity: "error",
      from: { pathNot: [TESTS, "^cli/"] },
      to: { path: "^test/" },
    },
    {
      name: "nothing-imports-cli",
      severity: "error",
      from: { pathNot: [TESTS, "^cli/"] },
      to: { path: "^cli/" },
    },
    { name: "no-test-in-production", severity: "error", from: { pathNot: TESTS }, to: { path: "\\.(test|bench)\\.ts$|^[^/]+/bench/" } },
    {
      name: "no-dev-dependency-in-production",
      comment: "a production install leaves dev dependencies out",
      severity: "error",
      from: { path: "\\.ts$", pathNot: [TESTS, "^loadtests/"] },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"], pathNot: "node_modules/@types/" },
    },
    {
      name: "no-cycle",
      comment: "types that name each other are no cycle: nothing of them is loaded",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "every-import-resolves", severity: "error", from: {}, to: { couldNotResolve: true, pathNot: "^k6(/|$)" } },
    {
      name: "owner-node-sqlite",
      comment: "only platform/sqlite names node:sqlite",
      severity: "error",
      from: { pathNot: ["^platform/sqlite/", TESTS] },
      to: { path: "^(node:)?sqlite$" },
    },
    ...Object.entries(OWNERS).map(owner),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)\\.(perigee|cache|tap)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    builtInModules: { add: ["node:sqlite"] },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".cjs", ".mjs", ".json", ".node"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
