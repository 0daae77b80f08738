import t from "tap";
import { readArguments } from "./arguments.ts";

t.test("without words everything runs against a system of its own", async (t) => {
  t.match(readArguments([]), {
    kind: "run",
    scenarios: ["content", "sessions", "outage"],
    isSmoke: false,
    isJson: false,
    target: undefined,
  });
});

t.test("scenarios run in their own order, each once", async (t) => {
  const words = ["--scenario", "sessions", "--scenario", "content", "--scenario", "sessions", "--smoke", "--json"];
  t.match(readArguments(words), { scenarios: ["content", "sessions"], isSmoke: true, isJson: true });
});

t.test("a running system is named with its context, and its processes are left alone", async (t) => {
  const target = ["--target", "http://127.0.0.1:7410", "--context", "context.yaml"];
  t.match(readArguments(target), {
    scenarios: ["content", "sessions"],
    target: { scheduler: "http://127.0.0.1:7410", contextFile: "context.yaml" },
  });
  t.match(readArguments([...target, "--scenario", "outage"]), { kind: "wrong", message: /stops processes/ });
  t.match(readArguments(target.slice(0, 2)), { kind: "wrong", message: /belong together/ });
});

t.test("what is not known is refused by name", async (t) => {
  t.match(readArguments(["--scenario", "storm"]), { kind: "wrong", message: /no scenario storm; there are content/ });
  t.match(readArguments(["--fast"]), { kind: "wrong", message: /--fast/ });
  t.same(readArguments(["--help"]), { kind: "help" });
});
