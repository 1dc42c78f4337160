// The Node original's side of core.py: it makes its sessions, then times as many `get` as each line of input says.
import { createInterface } from "node:readline";
import Redis from "ioredis";
import { SessionManager } from "redisess";

const [port, sessions, users] = process.argv.slice(2).map(Number);
const client = new Redis(port, "127.0.0.1");
const manager = new SessionManager(client, { namespace: "original", ttl: 1800, additionalFields: ["group"] });
const ids = [];
for (let i = 0; i < sessions; i++) {
  const session = await manager.create(`user${i % users}`, { group: "staff" });
  ids.push(session.sessionId);
}
console.log("ready");

let next = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const began = process.hrtime.bigint();
  for (let i = 0; i < Number(line); i++) {
    if (!(await manager.get(ids[next++ % ids.length]))) throw new Error("a session is gone");
  }
  console.log(String(process.hrtime.bigint() - began));
}
await manager.quit();
client.disconnect();
