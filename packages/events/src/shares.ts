/**
 * Who is to have each of a number of equal parts: as many for everybody, give or take one. The same members give the same result everywhere,
 * in whatever order they come, and one member more or less moves few parts: rendezvous hashing, with a bound on what one may have.
 *
 * @param what whose parts they are: the parts of different things lie differently, so that what a division leaves over does too
 * @returns the member of each part; empty without members
 */
export function shareOut(what: string, parts: number, members: readonly string[]): string[] {
  if (members.length === 0) return []
  const least = Math.floor(parts / members.length)
  let over = parts - least * members.length
  const has = new Map(members.map((member) => [member, 0]))
  return Array.from({ length: parts }, (_, part) => {
    const ranked = members
      .map((member) => ({ member, rank: hashOf(`${what} ${part} ${member}`) }))
      .sort((a, b) => b.rank - a.rank || (a.member < b.member ? -1 : 1))
    const taker = ranked.find(
      ({ member }) => has.get(member)! < least || (over > 0 && has.get(member) === least)
    )!.member
    if (has.get(taker) === least) over--
    has.set(taker, has.get(taker)! + 1)
    return taker
  })
}

/** FNV-1a, then mixed: names that differ in their last letter alone would rank alike. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
