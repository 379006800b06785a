import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { readSecrets } from '@skerry/stores'

type Members = Record<string, unknown>

/** Access tokens of a running system, and what a forger would try. */
export type HouseTokens = {
  /** Signed with the system's own key; what is undefined is left out. */
  sign(claims: Members, header?: Members): string
  /** The same with claims as they are written. */
  signText(claims: string): string
  /** A change of a token, decided by `random`: never one that means the same. */
  mutant(random: () => number): string
}

const encode = (text: string) => Buffer.from(text).toString('base64url')
const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Members
/** Bytes that may stand in a header, and that a token may hold or not. */
const PUT = [...'AZaz09-_.=~ ,;:"/+%\t\u00e9\u00ff']
const SUBJECTS = [
  '',
  'ada',
  ' ',
  '0',
  '__proto__',
  '../..',
  '*',
  '$',
  `${'x'.repeat(2_000)}`,
  7,
  -1,
  true,
  null,
  [],
  {},
  ['a'],
  { $ne: '' }
]
const ALGORITHMS = [
  'none',
  'None',
  'NONE',
  '',
  'HS256',
  'HS512',
  'RS256',
  'ES256',
  'PS256',
  'eddsa',
  'Ed448',
  null,
  7,
  []
]
const ODD = [undefined, null, '', [], {}, true, 'x', -1, 1.5, 1e300]
const HEADERS: Members[] = [
  { kid: 'another' },
  { kid: '' },
  { kid: '../../dev/null' },
  { kid: "' or 1=1" },
  { typ: 'JWT' },
  { typ: undefined },
  { crit: ['exp'] },
  { crit: ['unknown'], unknown: 1 },
  { b64: false, crit: ['b64'] },
  { jku: 'http://127.0.0.1:1/jwks.json', kid: 'mine' },
  { x5u: 'http://127.0.0.1:1/', kid: 'mine' },
  { zip: 'DEF', typ: 'x' }
]

/** Whether a claim may have such a value: what a number or a text says is the signer's. */
function fits(name: string, value: unknown): boolean {
  if (typeof value === 'string') return name === 'usr' || name === 'dnm' || (name === 'sid' && value !== '')
  return Number.isInteger(value) && (name === 'aat' || name === 'iat' || (name === 'exp' && value === 1e300))
}

/** @param good an access token that the system has given out */
export async function houseTokens(home: string, good: string): Promise<HouseTokens> {
  const secrets = await readSecrets(home)
  if (secrets === undefined) throw new Error(`${home} has no secrets`)
  const key = createPrivateKey({ key: secrets.authSigningKey as never, format: 'jwk' })
  const mine = generateKeyPairSync('ed25519')
  const publicBytes = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url')
  const parts = good.split('.') as [string, string, string]
  const [header, payload] = [decode(parts[0]), decode(parts[1])]
  /** base64url has several spellings of the same signature. */
  const meaning = ([first, second, last = '', ...more]: string[]) =>
    [first, second, Buffer.from(last, 'base64url').toString('hex'), ...more].join('.')
  const same = (token: string) => meaning(token.split('.')) === meaning(parts)

  const signed = (text: string, by = key) => `${text}.${sign(null, Buffer.from(text), by).toString('base64url')}`
  const signWith = (claims: Members, more: Members = {}, by = key) =>
    signed(`${encode(JSON.stringify({ ...header, ...more }))}.${encode(JSON.stringify(claims))}`, by)
  const signText = (claims: string) => signed(`${parts[0]}.${encode(claims)}`)

  const kinds: ((random: () => number) => string)[] = [
    // Any byte of it.
    (random) => {
      const at = Math.floor(random() * good.length)
      const put = PUT[Math.floor(random() * PUT.length)] ?? ''
      const cut = Math.floor(random() * 3)
      return good.slice(0, at) + put.repeat(cut === 0 ? 0 : 1) + good.slice(at + (cut === 2 ? 0 : 1))
    },
    // A signature that is cut, longer, or another's.
    (random) => {
      const [first, second, last] = parts
      const length = Math.floor(random() * last.length)
      const ends = [
        last.slice(0, length),
        last + last.slice(0, length + 1),
        last.slice(length),
        encode('x'.repeat(64)),
        ''
      ]
      return `${first}.${second}.${pick(ends, random)}`
    },
    // Parts that are missing, doubled or changed places.
    (random) => {
      const many = Array.from({ length: Math.floor(random() * 6) }, () => pick(parts, random))
      const joined = many.join(pick(['.', '.', '..', ',', ' ', ', Bearer '], random))
      return joined === '' ? good + good : joined
    },
    (random) => good + pick([`.${good}`, `,${good}`, ` ${good}`, `, Bearer ${good}`, '.', '.e30', ' x'], random),
    // Another algorithm: without a signature, with the one there is, with the public key as a secret, with our own key.
    (random) => {
      const alg = pick(ALGORITHMS, random)
      const text = `${encode(JSON.stringify({ ...header, alg }))}.${parts[1]}`
      const secret = createHmac('sha256', publicBytes).update(text).digest('base64url')
      return pick([`${text}.`, `${text}.${parts[2]}`, `${text}.${secret}`, signed(text, mine.privateKey)], random)
    },
    (random) => signWith(payload, pick(HEADERS, random), random() < 0.5 ? key : mine.privateKey),
    (random) => {
      const jwk = mine.publicKey.export({ format: 'jwk' })
      return signWith(payload, random() < 0.5 ? { jwk } : { jwk, kid: 'mine' }, mine.privateKey)
    },
    // Claims that do not fit, signed with the real key.
    (random) => signWith({ ...payload, sub: pick(SUBJECTS, random) }),
    (random) => {
      const name = pick(['sub', 'sid', 'iss', 'aud', 'exp', 'usr', 'dnm', 'aat', 'iat'], random)
      const odd = pick(ODD, random)
      return signWith({ ...payload, [name]: fits(name, odd) ? null : odd })
    },
    (random) => signWith({ ...payload, exp: Math.floor(Date.now() / 1_000) - 1 - Math.floor(random() * 1e6) }),
    // Of a name that comes twice the last counts, for us and for whoever signs.
    (random) => signText(`${JSON.stringify(payload).slice(0, -1)},"sub":${JSON.stringify(pick(SUBJECTS, random))}}`),
    (random) => signText(pick(['', 'null', '[]', '"x"', '7', '{', '{}', '\u0000', JSON.stringify([payload])], random)),
    (random) => {
      const changed = {
        ...payload,
        sub: `${payload.sub}`.replace(/.$/, () => pick(['0', '1', '2', 'z', 'i', '\n'], random))
      }
      return `${parts[0]}.${encode(JSON.stringify(changed))}.${parts[2]}`
    }
  ]

  return {
    sign: signWith,
    signText,
    mutant(random) {
      for (;;) {
        const made = pick(kinds, random)(random)
        // White space around a value is no part of it.
        if (!same(made.trim())) return made
      }
    }
  }
}

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)] as T
}
