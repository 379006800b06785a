import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'
import { applyChanges } from './changes.ts'
import { CONTRACTS_INDEX, readContracts, withExport } from './contracts.ts'
import { assertService, readIn, withImport } from './existing.ts'
import { format } from './format.ts'
import { renderFile } from './templates.ts'
import { capital } from './words.ts'

const USAGE = './skerry new event notes.note.pinned'

/** Declares an event: `<service>.<entity>.<what>`. Throws one line that says why it cannot be. */
export async function newEvent(repo: string, subject: string | undefined, say: (line: string) => void): Promise<void> {
  const [service, entity, what, ...rest] = subject?.split('.') ?? []
  assertService(repo, service, USAGE)
  const fits = (part: string | undefined) => part !== undefined && /^[a-z]{2,30}$/.test(part)
  if (!fits(entity) || !fits(what) || rest.length > 0)
    throw new StartError(
      `"${subject}" cannot be an event: write service.entity.what with the letters a to z alone, as in ${USAGE}`
    )
  const declared = await readContracts(repo)
  const Event = `${capital(entity!)}${capital(what!)}`
  const held = [...declared.events].find(([wire]) => wire.startsWith(`${subject}.v`))
  if (held !== undefined)
    throw new StartError(
      `${held[0]} exists in packages/contracts/src/${held[1]}: a change that breaks it is a version 2 there`
    )
  if (declared.names.has(Event)) throw new StartError(`contracts has ${Event} already: name the event otherwise`)

  const path = `packages/contracts/src/events/${service}.ts`
  const added = await renderFile('event/event.ts.tmpl', {
    Event,
    subject: subject!,
    entity: entity!,
    what: what!,
    title: `${capital(entity!)} ${what!}`.slice(0, 40)
  })
  const index = withExport(await readIn(repo, CONTRACTS_INDEX), `./events/${service}.ts`)
  const imports = await renderFile('event/imports.ts.tmpl', {})
  const isNew = !existsSync(join(repo, path))
  let text = isNew ? imports : await readIn(repo, path)
  if (!/\bIdSchema\b/.test(text)) text = withImport(text, "import { IdSchema } from '../common.ts'")
  const file = new Map([[path, `${text.trimEnd()}\n${added}`]])
  await applyChanges(
    repo,
    { create: isNew ? file : new Map(), edit: new Map([...(isNew ? [] : file), [CONTRACTS_INDEX, index]]) },
    async () => format(repo, [path, CONTRACTS_INDEX])
  )
  say(`  ${path}

${Event} is declared. Publish it in the transaction of its write:

  publish(store, tx, ${Event}, { ${entity}Id })

and handle it in another service with: ./skerry new consumer SERVICE PURPOSE ${subject}`)
}
