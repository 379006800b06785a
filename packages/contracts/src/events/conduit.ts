import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

export const ConduitErasureCompleted = erasureCompletedBy('conduit')
export const ConduitExportPart = exportPartOf('conduit')
export const ConduitExportCompleted = exportCompletedBy('conduit')
