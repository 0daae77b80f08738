/** The VR page: reads its configuration and starts the session. */
import { parseClientConfig } from "./config.ts";

const response = await fetch("config.json", { cache: "no-store" });
const config = parseClientConfig(await response.json());
document.querySelector("#status")?.replaceChildren(`${config.app}, ${config.tier}`);
