// Checks every signature of a node's answer with http-message-signatures (RFC 9421).
import crypto from 'node:crypto'
import { httpbis } from 'http-message-signatures'

const rsa = keyid => {
  const n = Buffer.from(keyid.slice('publickey:'.length), 'base64').toString('base64url')
  const key = crypto.createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' })
  const padding = crypto.constants.RSA_PKCS1_PSS_PADDING
  const saltLength = crypto.constants.RSA_PSS_SALTLEN_AUTO
  return async (data, signature) => crypto.verify('sha512', data, { key, padding, saltLength }, signature)
}
const hmac = keyid => async (data, signature) =>
  crypto.createHmac('sha256', keyid).update(data).digest().equals(Buffer.from(signature))

const keyLookup = async ({ keyid, alg }) => ({
  id: keyid,
  algs: [alg],
  verify: keyid.startsWith('publickey:') ? rsa(keyid) : hmac(keyid),
})

/** True if all signatures hold and the digest is that of the body. */
export const verified = async (response, body) => {
  const headers = Object.fromEntries(response.headers)
  const digest = crypto.createHash('sha256').update(body).digest('base64')
  if (body.length && headers['content-digest'] !== `sha-256=:${digest}:`) return false
  try {
    return await httpbis.verifyMessage({ keyLookup, all: true }, { status: response.status, headers })
  } catch {
    return false
  }
}
