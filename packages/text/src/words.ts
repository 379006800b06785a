import {
  hasBidi,
  hasControl,
  hasTooManyMarks,
  isBlank,
  normal,
  trim,
  trimEnd,
  withBalancedBidi,
  withoutHiddenTags,
  withoutInvisible,
  withPlainLines
} from './characters.ts'
import { BIDI, BLANK, CONTROL, type Fault, MARKS } from './fault.ts'

/**
 * A display name as it is kept: NFC, without white space at its ends and without invisible characters that have no function. One line that
 * can be seen; a fault for control characters, line breaks, signs that turn the direction, and more than 30 marks in a row.
 */
export function displayName(typed: string): string | Fault {
  if (hasBidi(typed)) return BIDI
  const visible = trim(withoutInvisible(trim(typed)))
  if (hasTooManyMarks(visible)) return MARKS
  const name = normal(visible, 'NFC')
  if (hasControl(name)) return CONTROL
  return isBlank(name) ? BLANK : name
}

/** What somebody says of themselves, as it is kept: as `text`, and nothing that can be seen is an empty one. */
export function bio(typed: string): string {
  const kept = trim(clean(typed))
  return isBlank(kept) ? '' : kept
}

/**
 * The text of a post or comment as it is kept: NFC, lines end with `\n`, without control characters but tabs, overrides of the direction and
 * hidden tag characters, and without white space at the end. Indentation, soft hyphens and joiners stay. A fault for nothing that can be seen.
 */
export function text(typed: string): string | Fault {
  const kept = trimEnd(clean(typed))
  return isBlank(kept) ? BLANK : kept
}

/** A title or summary as it is kept: as `text`, in one line and without white space at its ends. */
export function line(typed: string): string | Fault {
  const kept = trim(clean(typed).replace(/[\n\t]+/g, ' '))
  return isBlank(kept) ? BLANK : kept
}

/** What two tags are one by, and how they are kept and shown: as a display name, and in lower case. */
export function tag(typed: string): string | Fault {
  const name = displayName(typed)
  if (typeof name !== 'string') return name
  const key = name.toLowerCase().normalize('NFC')
  if (/[\s,#]/.test(key)) return { code: 'pattern', message: 'must not contain white space, commas or #' }
  return key
}

/**
 * An input whose members of these names, texts or lists of texts, are in NFC: their lengths are then those of what is kept, however accents were
 * typed. What is no text stays as it is, for the contract's check to refuse.
 */
export function withNfc(input: unknown, names: readonly string[]): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input
  const nfc = (value: unknown) => (typeof value === 'string' ? normal(value, 'NFC') : value)
  const texts = Object.entries(input).filter(([name]) => names.includes(name))
  return {
    ...input,
    ...Object.fromEntries(texts.map(([name, value]) => [name, Array.isArray(value) ? value.map(nfc) : nfc(value)]))
  }
}

/** Each tag once, in the order in which it first came, with faults by their position. */
export function tags(typed: readonly string[]): { tags: string[]; faults: Record<string, Fault> } {
  const kept = new Set<string>()
  const faults: Record<string, Fault> = {}
  for (const [i, one] of typed.entries()) {
    const key = tag(one)
    if (typeof key === 'string') kept.add(key)
    else faults[i] = key
  }
  return { tags: [...kept], faults }
}

function clean(typed: string): string {
  return normal(withoutHiddenTags(withBalancedBidi(withPlainLines(typed))), 'NFC')
}
