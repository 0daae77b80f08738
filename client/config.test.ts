/** config.json is taken whole or refused with the key that is wrong. */
import t from "tap";
import { parseClientConfig } from "./config.ts";

const config = { scheduler: "http://127.0.0.1:7410/", app: "hall", appToken: "jws", tier: "strict", site: "vr" };

t.test("a configuration is read, the scheduler without its last slash, the site where there is one", async (t) => {
  t.same(parseClientConfig(config, "config.json"), { ...config, scheduler: "http://127.0.0.1:7410" });
  const { site: _site, ...rest } = config;
  t.equal(parseClientConfig(rest, "config.json").site, undefined);
});

t.test("what is missing or wrong is named", async (t) => {
  const bad: readonly (readonly [string, unknown])[] = [
    ["scheduler", "ftp://x"],
    ["scheduler", "http://x/path"],
    ["app", ""],
    ["appToken", undefined],
    ["tier", "best"],
    ["site", 3],
  ];
  for (const [key, value] of bad) {
    const wrong = { ...config, [key]: value };
    t.throws(
      () => parseClientConfig(wrong, "config.json"),
      { code: "config-invalid", message: new RegExp(key) },
      `${key}: ${value}`,
    );
  }
  t.throws(() => parseClientConfig(undefined, "createSession"), {
    code: "config-invalid",
    message: /^createSession: /,
  });
});
