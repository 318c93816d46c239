export { FileFolio, LOST_DIRTY } from '../file-folio.ts';
export { shrink_folio_list, writeback, type WritebackDesign } from './writeback.ts';
export { zap_page_range, zapVersions, type ZapDesign } from './zap.ts';
