mod elections;
mod harness;
mod sim;
