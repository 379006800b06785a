const MAX = 24
/** Letters that Unicode does not take apart. */
const PLAIN: Readonly<Record<string, string>> = { ø: 'o', ł: 'l', đ: 'd', ß: 'ss', æ: 'ae', œ: 'oe' }

/**
 * A username from a display name: `Pádraig Brady` → `padraig.brady`. Letters, digits and dots, 3 to 24 characters, so that a number fits.
 * @param fallback used when the name leaves too little
 */
export function usernameFrom(name: string, fallback: string): string {
  return plain(name) ?? plain(fallback) ?? 'someone'
}

function plain(text: string): string | undefined {
  const ascii = text
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .toLowerCase()
    .replace(/[øłđßæœ]/g, (letter) => PLAIN[letter] ?? letter)
    .replace(/['’"]/g, '')
    .replace(/[^a-z0-9]+/g, '.')
    .replace(/^\.+|\.+$/g, '')
  const short = ascii.length > MAX ? ascii.slice(0, Math.max(ascii.lastIndexOf('.', MAX), 0) || MAX) : ascii
  return short.length >= 3 ? short : undefined
}

/** Gives each wish a name of its own, in the order asked: `ada`, `ada.2`, `ada.3`. */
export function createUniqueNames() {
  const taken = new Set<string>()
  return (wish: string): string => {
    let name = wish
    for (let n = 2; taken.has(name); n++) name = `${wish}.${n}`
    taken.add(name)
    return name
  }
}

/** A tag from a domain; leading parts go while it is too long. Undefined for what is not a domain. */
export function tagFrom(domain: string): string | undefined {
  let tag = domain
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '')
    .replace(/^[.-]+|[.-]+$/g, '')
  while (tag.length > 50 && tag.includes('.')) tag = tag.slice(tag.indexOf('.') + 1)
  return tag.length > 0 && tag.length <= 50 && tag.includes('.') ? tag : undefined
}
