// node hbsig.mjs URL WALLET FIELDS [TAMPER]: a request signed by hbsig, what came back, and whether
// the answer's signatures hold. TAMPER is {"headers": {...}, "body": text}: changed after signing.
import fs from 'node:fs'
import { createSigner, send } from 'hbsig'
import { verified } from './verify.mjs'

const [url, wallet, fields, tamper] = process.argv.slice(2)
const sign = createSigner(JSON.parse(fs.readFileSync(wallet)), url)
const message = await sign(JSON.parse(fields))
if (tamper) {
  const { headers = {}, body } = JSON.parse(tamper)
  Object.assign(message.headers, headers)
  if (body !== undefined) message.body = body
}
const { method, headers, body } = message
const response = await fetch(message.url, { method, headers, body })
const answer = Buffer.from(await response.arrayBuffer())
const out = tamper || response.status >= 400 ? null : (await send(message)).out
console.log(JSON.stringify({
  status: response.status,
  body: answer.toString(),
  verified: await verified(response, answer),
  out,
}))
