import { consumerOfDurable, type OperationView } from '@skerry/events'
import { table } from '../up/table.ts'
import { cut, shortTime } from './format.ts'
import { askMaybe, type Context, consumerName, eventStreams, parseConsumer } from './system.ts'

/** What was done to a consumer, or to all consumers of the system, newest first. */
export async function audit(context: Context, [text]: readonly string[]): Promise<number> {
  const names = text === undefined ? await allConsumers(context) : [parseConsumer(text, 'audit content--feeds')]
  const views = (
    await Promise.all(
      names.map(async ({ service, purpose }) => [
        ...((await askMaybe<OperationView[]>(context, service, `${purpose}.audit`)) ?? []),
        ...((await askMaybe<OperationView[]>(context, service, `${purpose}.model.audit`)) ?? [])
      ])
    )
  ).flat()
  const unique = [...new Map(views.map((view) => [view.id, view])).values()].sort((a, b) => b.at.localeCompare(a.at))
  if (context.json) for (const view of unique) context.say(JSON.stringify(view))
  else if (unique.length === 0) context.say('nothing was done yet')
  else
    context.say(
      table([
        ['when', 'who', 'consumer', 'what', 'about', 'state', 'outcome', 'before', 'after'],
        ...unique.map((v) => [
          ...[shortTime(v.at), cut(v.by, 30), v.consumer, v.kind, v.target, v.state, cut(v.outcome ?? '', 60)],
          ...[cut(v.before ?? '', 40), cut(v.after ?? '', 40)]
        ])
      ])
    )
  return 0
}

async function allConsumers(context: Context) {
  const names = new Set<string>()
  for (const { config } of await eventStreams(context.jsm))
    for await (const info of context.jsm.consumers.list(config.name)) names.add(consumerOfDurable(info.name).consumer)
  // A model's own record is with its first generation's name, which may be gone.
  const all = [...names].flatMap((name) => [name, name.replace(/--r\d+$/, '')])
  return [...new Set(all)].flatMap((name) => consumerName(name) ?? [])
}
