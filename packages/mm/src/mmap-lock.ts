/** mmap_lock: a read-write semaphore per address space. Mirrors include/linux/mmap_lock.h, v6.18. */
import type { Steps, SystemBuilder } from '@shootdown/machine';
import { down_read, down_read_trylock, down_write, downgrade_write, Rwsem, up_read, up_write } from '@shootdown/sync';

/** An address space, as far as its lock goes. */
export class MmStruct {
  readonly name: string;
  readonly mmap_lock: Rwsem;
  /** What C code calls it. */
  readonly label: string;

  /** @param tasks who may take the lock: processors 0 .. `tasks` - 1 */
  constructor(builder: SystemBuilder, name: string, tasks: number, label = name) {
    this.name = name;
    this.label = label;
    this.mmap_lock = new Rwsem(builder, `${name}.mmap_lock`, tasks);
  }
}

/** mmap_read_lock(). */
export function mmap_read_lock(mm: MmStruct): Steps {
  return down_read(mm.mmap_lock, undefined, `mmap_read_lock(${mm.label})`);
}

/** mmap_read_trylock(): 1 if the lock is held now. */
export function mmap_read_trylock(mm: MmStruct): Steps<number> {
  return down_read_trylock(mm.mmap_lock, undefined, `mmap_read_trylock(${mm.label})`);
}

/** mmap_read_unlock(). */
export function mmap_read_unlock(mm: MmStruct): Steps {
  return up_read(mm.mmap_lock, undefined, `mmap_read_unlock(${mm.label})`);
}

/** mmap_write_lock(). */
export function mmap_write_lock(mm: MmStruct): Steps {
  return down_write(mm.mmap_lock, undefined, `mmap_write_lock(${mm.label})`);
}

/** mmap_write_unlock(). */
export function mmap_write_unlock(mm: MmStruct): Steps {
  return up_write(mm.mmap_lock, undefined, `mmap_write_unlock(${mm.label})`);
}

/** mmap_write_downgrade(): from here on other readers may come in. */
export function mmap_write_downgrade(mm: MmStruct): Steps {
  return downgrade_write(mm.mmap_lock, undefined, `mmap_write_downgrade(${mm.label})`);
}
