// node hbsig_commit.mjs URL WALLET FIELDS [PATH]: a message committed by hbsig inside of a request
// to PATH that it signed, and the same message as a request: {committed, direct}, not yet sent.
import fs from 'node:fs'
import { commit, createSigner } from 'hbsig'

const [url, wallet, fields, path = '/~process@1.0/schedule'] = process.argv.slice(2)
const sign = createSigner(JSON.parse(fs.readFileSync(wallet)), url)
const message = JSON.parse(fields)

const written = async ({ headers, body }) => ({
  headers,
  body: body === undefined ? null : Buffer.from(await new Response(body).arrayBuffer()).toString('base64'),
})

console.log(JSON.stringify({
  committed: await written(await sign({
    path,
    body: await commit(message, { signer: sign, path: false }),
  })),
  direct: await written(await sign({ path, ...message })),
}))
