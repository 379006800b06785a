import { sharesOf, type TrafficRules, type VersionsPresent } from '@skerry/service'

/** One version's part of the traffic. Only the ratio of the shares to each other counts. */
export type Share = { readonly version: string; readonly share: number; readonly seed: number }

/** What to draw from for a service; undefined where there is nothing to choose (`sharesOf`). */
export function planOf(service: string, rules: TrafficRules, present: VersionsPresent): readonly Share[] | undefined {
  const shares = sharesOf(rules, present)
  if (shares === undefined) return undefined
  return Array.from(shares, ([version, share]) => ({ version, share, seed: hash(`${service} ${version} `) }))
}

/** A version drawn by its share; `random` is in [0, 1). */
export function draw(shares: readonly Share[], random: number): string {
  let at = random * shares.reduce((total, { share }) => total + share, 0)
  for (const { version, share } of shares) {
    at -= share
    if (at < 0) return version
  }
  return shares.at(-1)!.version
}

/**
 * The version that a user stays with: weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights as -ln(h)/w). Each version gets its
 * share of users, who is in a version stays in it while its share grows, and other services have other users in theirs.
 */
export function stay(shares: readonly Share[], userId: string): string {
  let least = Infinity
  let chosen = ''
  for (const { version, share, seed } of shares) {
    const distance = -Math.log((mix(hash(userId, seed)) + 0.5) / 0x1_0000_0000) / share
    if (distance < least) {
      least = distance
      chosen = version
    }
  }
  return chosen
}

/** FNV-1a over UTF-16 units, 32 bits. */
function hash(text: string, seed = 0x811c9dc5): number {
  let value = seed
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}

/** The end of MurmurHash3 (Appleby), since FNV leaves the upper bits of ids that differ at their end alike. */
function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
