/**
 * What every C file may use: types, annotations, the memory model's macros. Printed by `list --c`, so gcc takes it as
 * well.
 */

/** Types and annotations of include/linux/types.h and compiler_types.h. */
export const PRELUDE = `
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef unsigned long size_t;
typedef long ssize_t;
typedef unsigned long uintptr_t;
typedef u64 phys_addr_t;
typedef unsigned int gfp_t;
typedef unsigned long pgoff_t;

#define NULL ((void *)0)
#define __init
#define __exit
#define __always_inline inline
#define noinline
#define __sched
#define __cold
#define __must_check
#define __maybe_unused
#define __always_unused
#define __user
#define __rcu
#define __percpu
#define __iomem
#define __read_mostly
#define __ro_after_init
#define __visible
#define asmlinkage
#define fallthrough
#define __aligned(x)
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __cacheline_aligned
#define __cacheline_aligned_in_smp
#define ____cacheline_aligned
#define ____cacheline_aligned_in_smp
#define __packed
#define __pure
#define __used
#define __weak
#define __ref
#define __initdata
#define __latent_entropy
#define notrace
#define noinstr
#define noinline_for_stack
#define __flatten
#define __nocfi
#define __kprobes
#define __no_kcsan
#define __no_sanitize_memory
#define __assume_aligned(...)
#define __printf(a, b)
#define __guarded_by(...)
#define EXPORT_SYMBOL(x) extern int __exported
#define EXPORT_SYMBOL_GPL(x) extern int __exported

#define WARN_ON(x) (!!(x))
#define WARN_ON_ONCE(x) (!!(x))
#define VM_WARN_ON(x) ((void)0)
#define VM_WARN_ON_ONCE(x) ((void)0)
#define VM_BUG_ON_MM(x, mm) ((void)0)
#define VM_BUG_ON_PAGE(x, page) ((void)0)
#define pr_warn(...) ((void)0)
#define pr_err(...) ((void)0)
#define pr_info(...) ((void)0)
#define pr_debug(...) ((void)0)
#define might_sleep() ((void)0)
#define cond_resched() ((void)0)
#define cpu_relax() ((void)0)
#define barrier() ((void)0)
#define raw_smp_processor_id() smp_processor_id()
#define get_cpu() smp_processor_id()
#define put_cpu() ((void)0)
#define min(a, b) ({ typeof(a) __min_a = (a); typeof(b) __min_b = (b); __min_a < __min_b ? __min_a : __min_b; })
#define max(a, b) ({ typeof(a) __max_a = (a); typeof(b) __max_b = (b); __max_a > __max_b ? __max_a : __max_b; })
#define min_t(type, a, b) ({ type __min_a = (a); type __min_b = (b); __min_a < __min_b ? __min_a : __min_b; })
#define max_t(type, a, b) ({ type __max_a = (a); type __max_b = (b); __max_a > __max_b ? __max_a : __max_b; })
#define clamp(val, lo, hi) min(max(val, lo), hi)
#define swap(a, b) do { typeof(a) __swap_tmp = (a); (a) = (b); (b) = __swap_tmp; } while (0)
#define BIT(nr) (1UL << (nr))
#define BIT_ULL(nr) (1ULL << (nr))
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (63 - (h))))
#define ALIGN_DOWN(x, a) ((x) & ~((typeof(x))(a) - 1))
#define ALIGN(x, a) (((x) + ((typeof(x))(a) - 1)) & ~((typeof(x))(a) - 1))
#define IS_ALIGNED(x, a) (((x) & ((typeof(x))(a) - 1)) == 0)
#define round_down(x, y) ((x) & ~((typeof(x))((y) - 1)))
#define round_up(x, y) ((((x) - 1) | ((typeof(x))((y) - 1))) + 1)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)__container_of(ptr, offsetof(type, member)))
#define scoped_guard(...) while (__scoped_guard(__VA_ARGS__))
#define DEFINE_GUARD(_name, _type, _lock, _unlock) \
static inline void class_##_name##_constructor(_type _T) { _lock; } \
static inline void class_##_name##_destructor(_type _T) { _unlock; }
#define DEFINE_LOCK_GUARD_0(_name, _lock, _unlock) \
static inline void class_##_name##_constructor(void) { _lock; } \
static inline void class_##_name##_destructor(void) { _unlock; }
#define EINVAL 22
#define ENOMEM 12
#define EAGAIN 11
#define EBUSY 16
#define ENOENT 2
#define EFAULT 14
#define EEXIST 17
`;

/** What our parser has built in, for a compiler that has not. */
export const FOR_GCC = `
#define bool _Bool
#define true 1
#define false 0
#define offsetof(type, member) __builtin_offsetof(type, member)
#define __container_of(ptr, offset) ((void *)((char *)(ptr) - (offset)))
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_load_acquire(p) READ_ONCE(*(p))
#define smp_store_release(p, value) WRITE_ONCE(*(p), value)
#define smp_store_mb(x, value) do { WRITE_ONCE(x, value); smp_mb(); } while (0)
#define rcu_dereference(p) READ_ONCE(p)
#define rcu_assign_pointer(p, value) WRITE_ONCE(p, value)
#define xchg(p, value) __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new) __sync_val_compare_and_swap(p, old, new)
#define likely(x) (x)
#define unlikely(x) (x)
#define data_race(x) (x)
#define BUG_ON(x) ((void)(x))
#define assert(x) ((void)(x))
`;

/** Barriers and the like, which every program may use. */
export const BARRIERS = `
void smp_mb(void);
void smp_rmb(void);
void smp_wmb(void);
void smp_mb__before_atomic(void);
void smp_mb__after_atomic(void);
int smp_processor_id(void);
`;
