import { play } from "./main.js";
import { inPage } from "./wasm.js";

play(await inPage("claimsmith.wasm"));
