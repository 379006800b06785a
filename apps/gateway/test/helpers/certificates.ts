import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

/** A certificate and its key, both PEM. */
export type Certificate = { cert: string; key: string }

export type Authority = Certificate & {
  /** Issues a certificate for a host name or an IPv4 address. */
  issue(host: string): Certificate
}

const DAY_MS = 86_400_000
const OID = {
  commonName: '550403',
  ecdsaWithSha256: '2a8648ce3d040302',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  keyIdentifier: '551d0e',
  authorityKeyIdentifier: '551d23'
}

/** A certificate authority of this test alone, made in memory: nothing about it is kept. */
export function createAuthority(name = 'Test authority'): Authority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const extensions = [extension(OID.basicConstraints, sequence(tlv(0x01, Buffer.from([0xff]))), true)]
  const own = certify({
    subject: name,
    publicKey,
    extensions,
    issuer: name,
    signedWith: privateKey,
    issuerKey: publicKey
  })
  return {
    ...pem(own, privateKey),
    issue(host) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const alternative =
        isIP(host) === 4 ? tlv(0x87, Buffer.from(host.split('.').map(Number))) : tlv(0x82, latin1(host))
      const certificate = certify({
        subject: host,
        publicKey: pair.publicKey,
        extensions: [extension(OID.subjectAltName, sequence(alternative))],
        issuer: name,
        signedWith: privateKey,
        issuerKey: publicKey
      })
      return pem(certificate, pair.privateKey)
    }
  }
}

type Request = {
  subject: string
  publicKey: KeyObject
  extensions: Buffer[]
  issuer: string
  signedWith: KeyObject
  issuerKey: KeyObject
}

/** X.509 version 3 in DER (RFC 5280, 4.1), signed with ECDSA and SHA-256. */
function certify(request: Request): Buffer {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const identifiers = [
    extension(OID.keyIdentifier, tlv(0x04, fingerprint(request.publicKey))),
    extension(OID.authorityKeyIdentifier, sequence(tlv(0x80, fingerprint(request.issuerKey))))
  ]
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    // Positive and not starting with a zero byte.
    tlv(0x02, Buffer.concat([Buffer.from([0x42]), randomBytes(15)])),
    algorithm,
    distinguishedName(request.issuer),
    sequence(utcTime(Date.now() - DAY_MS), utcTime(Date.now() + DAY_MS)),
    distinguishedName(request.subject),
    request.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...request.extensions, ...identifiers))
  )
  const signature = sign('sha256', body, request.signedWith)
  return sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])))
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  const parts = critical ? [oid(id), tlv(0x01, Buffer.from([0xff]))] : [oid(id)]
  return sequence(...parts, tlv(0x04, value))
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid(OID.commonName), tlv(0x0c, latin1(commonName)))))
}

function fingerprint(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
}

function utcTime(at: number): Buffer {
  const text = new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return tlv(0x17, latin1(text.slice(2)))
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'))
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts))
}

/** A tag, a length and a value. */
function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), value])
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function pem(certificate: Buffer, key: KeyObject): Certificate {
  const lines = certificate
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string
  }
}
