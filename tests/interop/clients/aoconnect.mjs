// node aoconnect.mjs URL WALLET FIELDS [TAMPER]: a request through aoconnect, signed as ANS-104
// unless FIELDS say otherwise. TAMPER is the place of a byte of the body to flip on its way.
import fs from 'node:fs'
import { connect, createSigner } from '@permaweb/aoconnect'
import { verified } from './verify.mjs'

const [url, wallet, fields, tamper] = process.argv.slice(2)
const plainFetch = globalThis.fetch
globalThis.fetch = async (target, options) => {
  if (tamper === undefined || !options?.body) return plainFetch(target, options)
  const body = Buffer.from(await new Response(options.body).arrayBuffer())
  body[Number(tamper) < 0 ? body.length + Number(tamper) : Number(tamper)] ^= 1
  return plainFetch(target, { ...options, body })
}
const signer = createSigner(JSON.parse(fs.readFileSync(wallet)))
const { request } = connect({ MODE: 'mainnet', URL: url, signer })
const response = await request({ 'signing-format': 'ans104', ...JSON.parse(fields) })
const answer = Buffer.from(await response.arrayBuffer())
console.log(JSON.stringify({
  status: response.status,
  body: answer.toString(),
  type: response.headers.get('content-type'),
  verified: await verified(response, answer),
}))
