import { ledgerContract } from "../../test/contract/ledger-contract.ts";
import { EmbeddedLedger } from "./embedded-ledger.ts";

ledgerContract({ name: "embedded", open: (clock) => new EmbeddedLedger(clock), runs: 300 });
