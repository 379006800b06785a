import { StartError } from '@skerry/stores'
import { REPOSITORY } from '../repository.ts'
import { newConsumer } from './consumer.ts'
import { newEvent } from './event.ts'
import { newRoute } from './route.ts'
import { newService } from './service.ts'

export type NewOptions = { entity?: string }

const say = (line: string) => void process.stdout.write(`${line}\n`)

/** `./skerry new KIND …`: writes what is asked for into this checkout. Resolves with the exit code. */
export async function runNew([kind, ...rest]: string[], options: NewOptions): Promise<number> {
  const { entity } = options
  switch (kind) {
    case 'service':
      refuseMore(rest, 1)
      await newService({ repo: REPOSITORY, name: rest[0], say, ...(entity === undefined ? {} : { entity }) })
      return 0
    case 'event':
      refuseMore(rest, 1)
      await newEvent(REPOSITORY, rest[0], say)
      return 0
    case 'route': {
      refuseMore(rest, 4)
      const [service, route, method, path] = rest
      await newRoute(REPOSITORY, { service, route, method, path }, say)
      return 0
    }
    case 'consumer': {
      const [service, purpose, ...subjects] = rest
      await newConsumer(REPOSITORY, { service, purpose, subjects }, say)
      return 0
    }
    default:
      throw new StartError(
        `${kind === undefined ? 'say what to generate' : `there is no "new ${kind}"`}: service, event, route or consumer. See: ./skerry help new`
      )
  }
}

function refuseMore(args: readonly string[], count: number): void {
  if (args.length > count) throw new StartError(`"${args[count]}" is an unexpected argument. See: ./skerry help new`)
}
