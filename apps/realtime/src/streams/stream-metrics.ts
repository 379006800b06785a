import type { Metrics } from '@skerry/service'

/** The measurements of live streams. `count` is read at each scrape. */
export function streamMetrics(metrics: Metrics, count: () => number) {
  metrics.gauge('skerry_live_streams', 'Open live streams.', [], (gauge) => gauge.set(count()))
  return {
    sent: metrics.counter('skerry_live_messages_total', 'Messages written to live streams.'),
    reads: metrics.counter('skerry_live_reads_total', 'Times a stream read the log, by why.', ['reason']),
    resyncs: metrics.counter('skerry_live_resyncs_total', 'Streams told to read afresh, by why.', ['reason']),
    ended: metrics.counter('skerry_live_ended_total', 'Streams ended from our side, by why.', ['reason'])
  }
}

export type StreamMetrics = ReturnType<typeof streamMetrics>
