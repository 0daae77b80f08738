import t from "tap";
import { checkCountry } from "./countries.ts";

t.test("codes of countries are known, and what stands for one that is none", async (t) => {
  for (const code of ["DE", "GB", "US", "SS", "TW", "XK", "ZA"]) t.same(checkCountry(code), { kind: "country" }, code);
  t.same(checkCountry("UK"), { kind: "none", meant: "GB" });
  t.same(checkCountry("YU"), { kind: "none", meant: "RS" });
  for (const code of ["EU", "EN", "QQ", "ZZ"]) t.same(checkCountry(code), { kind: "none" }, code);
});

t.test("there are as many as ISO 3166-1 has, and Kosovo", async (t) => {
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  const codes = letters.flatMap((first) => letters.map((second) => first + second));
  t.equal(codes.filter((code) => checkCountry(code).kind === "country").length, 249 + 1);
});
