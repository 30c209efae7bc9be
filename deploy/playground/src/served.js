import { overHttp } from "./api.js";
import { play } from "./main.js";

play(overHttp());
