// node-postgres: SCRAM by TLS, with and without channel binding by the argument; or through an HTTP/2 tunnel of Node's own client.
const http2 = require("node:http2");
const { readFileSync } = require("node:fs");
const { Client } = require("pg");
const { env } = process;
const way = process.argv[2];

function tunnel() {
  const session = http2.connect(`http://127.0.0.1:${env.PORT_PG_HEADER}`);
  const headers = { ":method": "CONNECT", ":authority": "db:5432", ...(env.TENANT && { "x-tenant-id": env.TENANT }) };
  const stream = session.request(headers);
  stream.setNoDelay = stream.setKeepAlive = stream.ref = stream.unref = () => stream;
  stream.connect = () => setImmediate(() => stream.emit("connect"));
  return stream;
}

const secured = { host: "localhost", port: env.PORT_PG_PASSWORD, user: env.NAME, password: env.PASSWORD, ssl: { ca: readFileSync(env.CA) } };
const options = { scram: secured, plus: { ...secured, enableChannelBinding: true }, http2: { user: "anyone", stream: tunnel } }[way];

(async () => {
  console.log(`version: ${require("pg/package.json").version}, Node ${process.versions.node}`);
  const client = new Client({ ...options, database: "shop", connectionTimeoutMillis: 10000 });
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (error) {
    console.log(`refused: ${error.message}`);
    process.exit();
  }
  const whose = async () => (await client.query("SELECT name FROM whose")).rows.map((r) => r.name).join();
  console.log(`named: ${await whose()}`);
  for (const later of ["SET partywall.tenant = 'globex'", "SET ROLE globex", "DISCARD ALL"]) await client.query(later).catch(() => {});
  console.log(`later: ${await whose()}`);
  process.exit();
})();
