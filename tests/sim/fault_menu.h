// What the world may do to the gateway beyond the ordinary: SIM_FAULT(name, rate, text). The rate
// is the most, in chances of 10,000 at each occasion; a seed that enables a fault draws its own
// rate up to it. Only the table.

// Receiving
SIM_FAULT(receive_short, 5000, "a receive brings less than is there")
SIM_FAULT(receive_byte, 5000, "a receive brings one byte")
SIM_FAULT(receive_again, 1000,
          "a receive finds nothing although bytes are there, and a poll event follows")
SIM_FAULT(receive_empty_buffer, 3000,
          "a receive that brings no bytes hands out a buffer all the same")
SIM_FAULT(receive_ready_lie, 1000, "a receive says that more is there when nothing is")
SIM_FAULT(receive_after_hangup, 5000, "bytes and the peer's end arrive in one poll event")
SIM_FAULT(poll_ends, 1000, "a multishot poll ends without a reason")
SIM_FAULT(poll_spurious, 500, "a poll event without anything to read")
SIM_FAULT(poll_error, 20, "a poll fails")
SIM_FAULT(buffers_few, 10000, "a ring has very few receive buffers")
SIM_FAULT(buffers_no_growth, 5000, "there is no memory for more receive buffers")
// Sending
SIM_FAULT(send_slow, 3000, "a send completes late")
SIM_FAULT(send_stuck, 100, "a send never completes until it is cancelled or its peer goes")
SIM_FAULT(send_broken, 50, "a send fails with EPIPE")
SIM_FAULT(send_reset_short, 5000,
          "a send whose peer resets tells what went out instead of the error")
SIM_FAULT(window_small, 10000, "the network between holds few bytes")
// Cancelling and closing
SIM_FAULT(cancel_late, 2000, "a cancel comes too late: what it names has just ended")
SIM_FAULT(cancel_running, 1000, "a cancel is told EALREADY, and what it names ends by itself")
SIM_FAULT(close_order, 5000, "the poll's end arrives before, between or after cancel and close")
// Accepting
SIM_FAULT(accept_emfile, 300, "an accept fails with EMFILE")
SIM_FAULT(accept_enfile, 300, "an accept fails with ENFILE")
SIM_FAULT(accept_aborted, 300, "an accept fails with ECONNABORTED")
SIM_FAULT(accept_memory, 300, "an accept fails with ENOBUFS")
SIM_FAULT(socket_emfile, 300, "no descriptor is left for a socket")
SIM_FAULT(slot_reuse, 10000, "a slot is given out again at once")
SIM_FAULT(slots_few, 10000, "a ring has very few slots")
SIM_FAULT(ring_refused, 2000, "no further ring can be opened")
// Completions and submissions
SIM_FAULT(completion_late, 2000, "a completion arrives some turns later")
SIM_FAULT(completion_stale, 1000, "a completion of a life that is over arrives, as P6 warns")
SIM_FAULT(completion_order, 8000, "completions of a turn arrive in any order that is legal")
SIM_FAULT(submission_full, 500, "the submission queue is full: what is prepared goes out at once")
SIM_FAULT(turn_early, 500, "a turn's wait ends without a completion (a signal)")
SIM_FAULT(write_short, 2000, "a log write is short")
SIM_FAULT(write_fails, 500, "a log write fails with ENOSPC")
// Time
SIM_FAULT(clock_step, 100, "the clock jumps between two turns")
SIM_FAULT(stall, 20, "a worker gets no processor for 10 s")
SIM_FAULT(stall_short, 200, "a worker gets no processor for 50 ms")
SIM_FAULT(together, 3000, "events of the same millisecond fall on the same instant")
// Network
SIM_FAULT(hop_slow, 1000, "bytes are on the way for a second")
SIM_FAULT(hop_fragment, 5000, "bytes arrive one by one")
SIM_FAULT(peer_reset, 20, "the network resets a connection")
// Memory
SIM_FAULT(pool_empty, 300, "a pool refuses for a turn")
SIM_FAULT(arena_empty, 300, "the arena refuses for a turn")
SIM_FAULT(mailbox_full, 1000, "a mailbox has room for a few mails only, for a turn")
// Services: what they do to those that ask them (service.h)
SIM_FAULT(service_refuses, 1000, "a service refuses a connection")
SIM_FAULT(service_lost, 500, "a service takes no connection, and says nothing")
SIM_FAULT(service_silent, 500, "a service takes a request, or messages, and never answers")
SIM_FAULT(service_slow, 3000, "a service answers in small pieces, with pauses")
SIM_FAULT(service_stalls, 1000, "a service stops reading for a while")
SIM_FAULT(service_dies, 1000, "a service goes in the middle of an answer, or of a tunnel")
SIM_FAULT(service_garbage, 1000, "a service answers what is no answer, or one that has no end")
SIM_FAULT(service_chunks, 1000, "a service gives a chunk another size than it has")
SIM_FAULT(service_says_more, 2000, "a service sends more than it has announced")
SIM_FAULT(service_drops_kept, 3000, "a service closes a kept connection as a request comes")
SIM_FAULT(service_declines, 1500, "a service answers a handshake as if it were none")
SIM_FAULT(service_accepts, 1500, "a service accepts a handshake with what does not fit it")
SIM_FAULT(service_breaks, 500, "a service sends a frame that is none")
SIM_FAULT(service_floods, 500, "a service sends many messages at once")
