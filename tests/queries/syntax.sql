select label frm objects where
