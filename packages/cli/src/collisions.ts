import type { FormerName, FormerNamesPage } from '@skerry/events'
import { StartError } from '@skerry/stores'
import { ask, type Context, type Io, openContext, Unanswered } from './events/system.ts'

/** Who keeps names that were made before they had the forms of today. */
const SERVICES = ['auth', 'content']

/** What carries one name in one of its forms. */
type Carrier = { stored: string; ids: string[] }
/** Forms of one name that are stored apart. */
export type Collision = { kind: string; form: string; carriers: Carrier[] }

/** Lists email addresses, usernames and tags that are one by now and are stored apart. Nothing is changed: who owns which is for people to say. */
export async function collisions(io: Io, options: { json: boolean }): Promise<number> {
  const context = await openContext(io, options)
  try {
    let looked = 0
    const former: FormerName[] = []
    for (const service of SERVICES)
      for await (const page of pagesOf(context, service)) {
        looked += page.looked
        former.push(...page.items)
      }
    const found = collisionsOf(former)
    if (options.json) {
      for (const one of found) context.say(JSON.stringify(one))
      return 0
    }
    for (const one of found) context.say(inLines(one))
    context.say(
      found.length === 0
        ? `no names collide: ${looked} looked at, ${former.length} of them in a form from before`
        : `${found.length} names are stored in more than one form: ${looked} looked at`
    )
    return 0
  } finally {
    await context.nc.close()
  }
}

async function* pagesOf(context: Context, service: string): AsyncGenerator<FormerNamesPage> {
  for (let after: string | null | undefined; after !== null; ) {
    const page: FormerNamesPage = await ask<FormerNamesPage>(
      context,
      service,
      'names.former',
      after === undefined ? {} : { after }
    ).catch((error) => {
      throw error instanceof Unanswered
        ? new StartError(`${service} does not answer: does it run? See: ./skerry status`, { cause: error })
        : error
    })
    yield page
    after = page.next
  }
}

/** Former names that have the form of today in common with each other or with what carries it. */
export function collisionsOf(former: readonly FormerName[]): Collision[] {
  const byForm = new Map<string, Collision>()
  for (const { kind, stored, form, ids, holders } of former) {
    const key = `${kind} ${form}`
    const one = byForm.get(key) ?? { kind, form, carriers: holders.length > 0 ? [{ stored: form, ids: holders }] : [] }
    byForm.set(key, one)
    one.carriers.push({ stored, ids })
  }
  return [...byForm.values()].filter(({ carriers }) => carriers.length > 1)
}

function inLines({ kind, form, carriers }: Collision): string {
  const lines = carriers.map(({ stored, ids }) => `  ${visible(stored)}: ${ids.join(', ')}`)
  return [`${kind} ${visible(form)}`, ...lines].join('\n')
}

/** A name with what nobody would see, or see apart, as its code. */
export function visible(name: string): string {
  return name.replace(/[\p{C}\p{M}\p{Z}\p{Default_Ignorable_Code_Point}]/gu, (sign) => {
    const code = sign.codePointAt(0) ?? 0
    return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`
  })
}
