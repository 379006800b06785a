import { setTimeout as delay } from 'node:timers/promises'
import type { ModelStatus } from '@skerry/events'
import { StartError } from '@skerry/stores'
import { createProgress } from './progress.ts'
import { ask, type ConsumerName, type Context, parseConsumer } from './system.ts'

export type RebuildOptions = {
  abort?: boolean
  switch?: boolean
  rollback?: boolean
  finish?: boolean
  status?: boolean
  stay?: boolean
  force?: boolean
  'allow-partial'?: boolean
}

const ACTIONS = ['abort', 'switch', 'rollback', 'finish', 'status'] as const

/** Builds a read model anew beside the live one, shows how far it is, and says what to do next; or does the next thing. */
export async function rebuild(context: Context, [text]: readonly string[], options: RebuildOptions): Promise<number> {
  const named = parseConsumer(text, 'rebuild realtime--followers')
  // Whichever generation somebody has read of in `lag`, the model is the same.
  const name = parseConsumer(named.consumer.replace(/--r\d+$/, ''), 'rebuild realtime--followers')
  const chosen = ACTIONS.filter((action) => options[action])
  if (chosen.length > 1) throw new StartError(`give one of ${ACTIONS.map((a) => `--${a}`).join(', ')}`)
  const [action] = chosen
  if (options.force && action !== 'switch') throw new StartError('--force goes with --switch')
  if ((options.stay || options['allow-partial']) && action !== undefined)
    throw new StartError('--stay and --allow-partial go with the beginning of a rebuild')
  const tell = (command: string, more: object = {}) =>
    ask<ModelStatus>(context, name.service, `${name.purpose}.model.${command}`, more)
  if (action !== undefined) {
    const request = action === 'status' ? {} : { by: context.by, ...(options.force ? { force: true } : {}) }
    describe(context, name, await tell(action, request))
    return 0
  }
  const before = await tell('status')
  if (before.building === null) {
    const begun = await tell('rebuild', {
      by: context.by,
      ...(options.stay ? { stay: true } : {}),
      ...(options['allow-partial'] ? { partial: true } : {})
    })
    return follow(context, name, begun, options)
  }
  context.io.err.write(`generation ${before.building.generation} is being built already, by ${before.building.by}\n`)
  return follow(context, name, before, options)
}

/** Looks on until the model was switched, is held up, or stays. The building itself needs nobody who looks. */
async function follow(
  context: Context,
  name: ConsumerName,
  begun: ModelStatus,
  options: RebuildOptions
): Promise<number> {
  const generation = begun.building?.generation
  const progress = createProgress(`${name.consumer} generation ${generation}`, context.io.err)
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
  for (let status = begun; ; ) {
    const { building } = status
    if (building === null || building.generation !== generation) {
      progress.end()
      describe(context, name, status)
      return status.current === generation ? 0 : 1
    }
    const applied = status.progress.reduce((sum, part) => sum + part.applied, 0)
    const left = status.progress.reduce((sum, part) => sum + part.left, 0)
    progress.show(applied, applied + left, `${left} events left`)
    const held = building.waits !== null && !/not caught up yet$/.test(building.waits)
    if (held || (building.waits === null && options.stay)) {
      progress.end()
      describe(context, name, status)
      return held ? 1 : 0
    }
    await delay(200, undefined, { signal: interrupted.signal }).catch(() => 'interrupted')
    if (interrupted.signal.aborted) {
      progress.end()
      context.io.err.write(`it goes on without you. See: ./skerry events rebuild ${name.consumer}\n`)
      return 130
    }
    status = await ask<ModelStatus>(context, name.service, `${name.purpose}.model.status`)
  }
}

function describe(context: Context, { consumer }: ConsumerName, status: ModelStatus): void {
  if (context.json) {
    context.say(JSON.stringify(status))
    return
  }
  const command = `./skerry events rebuild ${consumer}`
  context.say(`${consumer}: generation ${status.current} is read`)
  if (status.building !== null) {
    const { generation, by, waits } = status.building
    context.say(
      `generation ${generation} is being built, by ${by}: ${waits ?? `it has caught up (${command} --switch)`}`
    )
    context.say(`to give it up: ${command} --abort`)
  }
  if (status.kept !== null) {
    context.say(`generation ${status.kept.generation} is kept, and fed as well`)
    context.say(`to go back to it: ${command} --rollback; to drop it: ${command} --finish`)
  }
  if (status.retired.length > 0) context.say(`being dropped: generation ${status.retired.join(', ')}`)
}
