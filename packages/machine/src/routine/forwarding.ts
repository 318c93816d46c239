import type { Explanation, Message, Operation, OperationContext, Replacements } from './operation.ts';

/** A context that hands on to another what it does not do itself. */
export class ForwardingContext implements OperationContext {
  protected readonly cx: OperationContext;

  constructor(cx: OperationContext) {
    this.cx = cx;
  }

  get processor(): number {
    return this.cx.processor;
  }

  get replacements(): Replacements | undefined {
    return this.cx.replacements;
  }

  load(address: number): number {
    return this.cx.load(address);
  }

  storeBuffered(address: number, value: number): boolean {
    return this.cx.storeBuffered(address, value);
  }

  read(address: number): number {
    return this.cx.read(address);
  }

  write(address: number, value: number): void {
    this.cx.write(address, value);
  }

  drained(): boolean {
    return this.cx.drained();
  }

  buffered(): number {
    return this.cx.buffered();
  }

  fail(property: string, detail: () => string): void {
    this.cx.fail(property, detail);
  }

  send(channel: number, message: Message, from?: number): boolean {
    return this.cx.send(channel, message, from);
  }

  tell(component: number, message: Message, from?: number): boolean {
    return this.cx.tell(component, message, from);
  }

  note(channel: number, type: string, back?: boolean): void {
    this.cx.note(channel, type, back);
  }

  channelEmpty(channel: number): boolean {
    return this.cx.channelEmpty(channel);
  }

  channelFull(channel: number): boolean {
    return this.cx.channelFull(channel);
  }

  operationOf(processor: number): Operation | null {
    return this.cx.operationOf(processor);
  }

  spend(cost: string, times?: number): void {
    this.cx.spend(cost, times);
  }

  count(counter: string, amount?: number): void {
    this.cx.count(counter, amount);
  }

  explain(what: () => Explanation | null): void {
    this.cx.explain(what);
  }
}
