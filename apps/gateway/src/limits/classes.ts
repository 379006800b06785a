/** What a class of routes allows one user, or one address without a token. */
export type ClassLimit = { readonly name: string; readonly perSecond: number; readonly burst: number }

/** Names of limits that are no classes of the configuration. */
export const TAKEN: ReadonlySet<string> = new Set([
  'default',
  'user',
  'device',
  'address',
  'bad-token',
  'sign-in',
  'sign-up'
])
/** Each class is a label of a metric and two counts for each subject. */
const MOST = 32
const FORM = /^([a-z][a-z0-9-]{0,31})=(\d{1,6}(?:\.\d{1,6})?)\/(\d{1,6})$/

/**
 * Reads `upload=5/20,search=0.5/30`: requests a second in the long run, then how many at once. Throws a line that names the first bad
 * one.
 */
export function parseClasses(text: string): ClassLimit[] {
  const classes: ClassLimit[] = []
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue
    const [, name = '', rate, most] = FORM.exec(part) ?? []
    const perSecond = Number(rate)
    const burst = Number(most)
    if (!(perSecond > 0 && burst > 0)) throw bad(part, 'is not of the form name=rate/burst')
    if (TAKEN.has(name)) throw bad(part, 'has a name that is taken')
    if (classes.some((one) => one.name === name)) throw bad(part, 'comes twice')
    classes.push({ name, perSecond, burst })
  }
  if (classes.length > MOST) throw new Error(`Bad configuration: LIMIT_CLASSES has more than ${MOST} classes`)
  return classes
}

function bad(part: string, why: string): Error {
  return new Error(`Bad configuration: LIMIT_CLASSES has ${JSON.stringify(part.slice(0, 80))}, which ${why}`)
}
