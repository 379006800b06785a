import { asyncApiOf, type DescribedEvent } from '@skerry/contracts/asyncapi'
import type { Instance } from '@skerry/service'
import type { Test } from 'tap'
import { instanceOf, type OpsPort, startOpsPort } from './documents.ts'

/** An event as a service describes it. */
export function eventOf(subject: string, more: Partial<DescribedEvent> = {}): DescribedEvent {
  const payload = { type: 'object', required: ['id'], properties: { id: { type: 'string' } } }
  return { subject, owner: subject.split('.')[0]!, summary: `${subject}.`, payload, examples: [{ id: 'x' }], ...more }
}

/** The AsyncAPI document of events, as their service would serve it. */
export function asyncDocumentOf(...events: DescribedEvent[]): object {
  return asyncApiOf({ title: 'x', version: '1', events })
}

/** An operations port that serves an AsyncAPI document, or answers as it is told to. */
export function startEventsPort(t: Test, document: object | string): Promise<OpsPort> {
  return startOpsPort(t, document, undefined, '/asyncapi.json')
}

/** An instance that announces events, and no routes. */
export function publisherOf(
  service: string,
  ops: { url: string; contract: string },
  more: Partial<Instance> = {}
): Instance {
  const { contract, ...rest } = instanceOf(service, ops)
  return { ...rest, prefixes: [], events: contract, ...more }
}
