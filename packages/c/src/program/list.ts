/**
 * Lists and per-CPU variables of programs: C of our own with the names, the order of accesses and the meaning of
 * include/linux/list.h, rculist.h, percpu-defs.h and cpumask.h, v6.18. What is deleted points nowhere, where the kernel
 * poisons it: who follows it is found as well.
 */

export const LISTS = `
struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)
#define HLIST_HEAD(name) struct hlist_head name = { NULL }
static inline void INIT_LIST_HEAD(struct list_head *list)
{
	WRITE_ONCE(list->next, list);
	WRITE_ONCE(list->prev, list);
}
static inline void __list_add(struct list_head *entry, struct list_head *prev, struct list_head *next)
{
	next->prev = entry;
	entry->next = next;
	entry->prev = prev;
	WRITE_ONCE(prev->next, entry);
}
static inline void list_add(struct list_head *entry, struct list_head *head)
{
	__list_add(entry, head, head->next);
}
static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	__list_add(entry, head->prev, head);
}
static inline void __list_del(struct list_head *prev, struct list_head *next)
{
	next->prev = prev;
	WRITE_ONCE(prev->next, next);
}
static inline void list_del(struct list_head *entry)
{
	__list_del(entry->prev, entry->next);
	entry->next = NULL;
	entry->prev = NULL;
}
static inline void list_del_init(struct list_head *entry)
{
	__list_del(entry->prev, entry->next);
	INIT_LIST_HEAD(entry);
}
static inline void list_move(struct list_head *entry, struct list_head *head)
{
	__list_del(entry->prev, entry->next);
	list_add(entry, head);
}
static inline int list_empty(struct list_head *head)
{
	return READ_ONCE(head->next) == head;
}
static inline void __list_add_rcu(struct list_head *entry, struct list_head *prev, struct list_head *next)
{
	entry->next = next;
	entry->prev = prev;
	rcu_assign_pointer(prev->next, entry);
	next->prev = entry;
}
static inline void list_add_rcu(struct list_head *entry, struct list_head *head)
{
	__list_add_rcu(entry, head, head->next);
}
static inline void list_add_tail_rcu(struct list_head *entry, struct list_head *head)
{
	__list_add_rcu(entry, head->prev, head);
}
static inline void list_del_rcu(struct list_head *entry)
{
	__list_del(entry->prev, entry->next);
	entry->prev = NULL;
}
static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	struct hlist_node *first = h->first;

	WRITE_ONCE(n->next, first);
	if (first)
		WRITE_ONCE(first->pprev, &n->next);
	WRITE_ONCE(h->first, n);
	WRITE_ONCE(n->pprev, &h->first);
}
static inline void hlist_del(struct hlist_node *n)
{
	struct hlist_node *next = n->next;
	struct hlist_node **pprev = n->pprev;

	WRITE_ONCE(*pprev, next);
	if (next)
		WRITE_ONCE(next->pprev, pprev);
	n->next = NULL;
	n->pprev = NULL;
}
static inline int hlist_empty(struct hlist_head *h)
{
	return !READ_ONCE(h->first);
}
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(ptr, type, member) list_entry((ptr)->next, type, member)
#define list_last_entry(ptr, type, member) list_entry((ptr)->prev, type, member)
#define list_first_entry_or_null(head, type, member) (list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_next_entry(pos, member) list_entry((pos)->member.next, typeof(*(pos)), member)
#define list_prev_entry(pos, member) list_entry((pos)->member.prev, typeof(*(pos)), member)
#define list_entry_is_head(pos, head, member) (&pos->member == (head))
#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_safe(pos, n, head) \\
	for (pos = (head)->next, n = pos->next; pos != (head); pos = n, n = pos->next)
#define list_for_each_entry(pos, head, member) \\
	for (pos = list_first_entry(head, typeof(*pos), member); \\
	     !list_entry_is_head(pos, head, member); pos = list_next_entry(pos, member))
#define list_for_each_entry_reverse(pos, head, member) \\
	for (pos = list_last_entry(head, typeof(*pos), member); \\
	     !list_entry_is_head(pos, head, member); pos = list_prev_entry(pos, member))
#define list_for_each_entry_safe(pos, n, head, member) \\
	for (pos = list_first_entry(head, typeof(*pos), member), n = list_next_entry(pos, member); \\
	     !list_entry_is_head(pos, head, member); pos = n, n = list_next_entry(n, member))
#define list_entry_rcu(ptr, type, member) container_of(rcu_dereference(ptr), type, member)
#define list_for_each_entry_rcu(pos, head, member, ...) \\
	for (pos = list_entry_rcu((head)->next, typeof(*pos), member); \\
	     &pos->member != (head); pos = list_entry_rcu(pos->member.next, typeof(*pos), member))
#define hlist_entry(ptr, type, member) container_of(ptr, type, member)
#define hlist_entry_safe(ptr, type, member) \\
	({ struct hlist_node *__hlist_ptr = (ptr); __hlist_ptr ? hlist_entry(__hlist_ptr, type, member) : NULL; })
#define hlist_for_each_entry(pos, head, member) \\
	for (pos = hlist_entry_safe((head)->first, typeof(*(pos)), member); \\
	     pos; pos = hlist_entry_safe((pos)->member.next, typeof(*(pos)), member))
#define hlist_for_each_entry_rcu(pos, head, member, ...) \\
	for (pos = hlist_entry_safe(rcu_dereference((head)->first), typeof(*(pos)), member); \\
	     pos; pos = hlist_entry_safe(rcu_dereference((pos)->member.next), typeof(*(pos)), member))
`;

/** `nr_cpu_ids` is how many P0(), P1() ... there are. */
export const CPUS = `
#define DEFINE_PER_CPU(type, name) typeof(type) __percpu_##name[nr_cpu_ids]
#define DECLARE_PER_CPU(type, name) extern typeof(type) __percpu_##name[nr_cpu_ids]
#define DEFINE_PER_CPU_ALIGNED(type, name) DEFINE_PER_CPU(type, name)
#define DEFINE_PER_CPU_SHARED_ALIGNED(type, name) DEFINE_PER_CPU(type, name)
#define put_cpu_var(name) ((void)0)
#define put_cpu_ptr(ptr) ((void)0)
typedef struct cpumask { atomic_t bits; } cpumask_t;
static inline void cpumask_set_cpu(unsigned int cpu, struct cpumask *dstp)
{
	atomic_or(1 << cpu, &dstp->bits);
}
static inline void cpumask_clear_cpu(int cpu, struct cpumask *dstp)
{
	atomic_and(~(1 << cpu), &dstp->bits);
}
static inline bool cpumask_test_cpu(int cpu, struct cpumask *cpumask)
{
	return (atomic_read(&cpumask->bits) >> cpu) & 1;
}
static inline bool cpumask_empty(struct cpumask *srcp)
{
	return atomic_read(&srcp->bits) == 0;
}
#define num_online_cpus() nr_cpu_ids
#define num_possible_cpus() nr_cpu_ids
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < nr_cpu_ids; (cpu)++)
#define for_each_online_cpu(cpu) for_each_possible_cpu(cpu)
#define for_each_present_cpu(cpu) for_each_possible_cpu(cpu)
#define for_each_cpu(cpu, mask) \\
	for ((cpu) = 0; (cpu) < nr_cpu_ids; (cpu)++) if (!cpumask_test_cpu(cpu, mask)) {} else
`;
