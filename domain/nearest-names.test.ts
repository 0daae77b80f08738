import t from "tap";
import { nearestNames, suggestionOf } from "./nearest-names.ts";

t.test("names of fewest edits come first, and what is another word not at all", async (t) => {
  t.same(nearestNames("rael", ["real", "reel", "rail", "else"]), ["rail", "reel", "real"]);
  t.same(nearestNames("be", ["us", "eu-1", "berlin"]), ["berlin"], "of two letters one may be another");
  t.same(nearestNames("slot", ["slot-cost", "slots"]), ["slots", "slot-cost"]);
});

t.test("a message ends with them, or with nothing", async (t) => {
  t.equal(suggestionOf("hal", ["hall", "gallery"]), ": did you mean hall?");
  t.equal(suggestionOf("hall", ["tabletop"]), "");
});
