//! Integer arithmetic that is right or fails.
//!
//! DataFusion adds, subtracts and multiplies integers in the type of the wider operand, and wraps around: `0 - 1` of two unsigned
//! columns is 18446744073709551615, and `pixel_row * 100000` of an int32 may be negative. Here, operands become int64, and a result
//! that does not fit is an error. Sums are in `checked_sum`.

use arrow::{
    array::ArrayRef,
    compute::kernels::numeric::{add, div, mul, rem, sub},
    datatypes::DataType,
    error::ArrowError,
};
use datafusion::{
    common::{DFSchema, Result, ScalarValue, config::ConfigOptions, exec_err, tree_node::Transformed},
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, cast, expr_rewriter::FunctionRewrite, lit,
    },
    physical_expr_common::datum::apply,
};

use super::signed_columns::EXACT_UINT64;

/// Replaces the arithmetic of integers by functions that check. Divisions are among them so that chains stay chains.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl FunctionRewrite for CheckedArithmetic {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let is_integer = |expr: &Expr| has_integer_type(expr, schema);
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let operation = IntegerOperation::of(op).filter(|_| is_integer(&left) && is_integer(&right));
                match operation {
                    // Above int64: exact in decimals, which DataFusion takes from here on.
                    Some(operation) if operation.can_wrap() && (is_large(&left) || is_large(&right)) => {
                        let exact = |side: Box<Expr>| Box::new(cast(*side, EXACT_UINT64));
                        let sides = BinaryExpr { left: exact(left), op, right: exact(right) };
                        Ok(Transformed::yes(Expr::BinaryExpr(sides)))
                    }
                    Some(operation) if !is_large(&left) && !is_large(&right) => {
                        Ok(Transformed::yes(chain(*left, operation, *right)))
                    }
                    _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
                }
            }
            Expr::Negative(operand) if is_integer(&operand) && !matches!(*operand, Expr::Literal(..)) => {
                Ok(Transformed::yes(chain(lit(0_i64), IntegerOperation::Subtract, *operand)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn has_integer_type(expr: &Expr, schema: &DFSchema) -> bool {
    // The type of a long sum is known without a look at each of its terms, for each of its terms.
    checked(expr).is_some() || expr.get_type(schema).is_ok_and(|kind| kind.is_integer())
}

/// Whether an expression is a number above those of int64.
fn is_large(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::UInt64(Some(value)), _) if i64::try_from(*value).is_err())
}

/// The checked function that an expression calls.
fn checked(expr: &Expr) -> Option<&CheckedFunction> {
    let Expr::ScalarFunction(call) = expr else { return None };
    call.func.inner().downcast_ref()
}

/// `left operation right`. A chain such as `a + b - c` is one call: nested calls take DataFusion minutes to plan, if there are a thousand.
fn chain(left: Expr, operation: IntegerOperation, right: Expr) -> Expr {
    let wide = |side: Expr| match side {
        Expr::Literal(ScalarValue::Int64(_), _) => side,
        side if checked(&side).is_some() => side,
        side => cast(side, DataType::Int64),
    };
    let (mut operations, mut operands) = match checked(&left) {
        Some(above) if above.operations.iter().all(|above| above.precedence() == operation.precedence()) => {
            let operations = above.operations.clone();
            let Expr::ScalarFunction(call) = left else { return left };
            (operations, call.args)
        }
        _ => (Vec::new(), vec![wide(left)]),
    };
    operations.push(operation);
    operands.push(wide(right));
    let signature = Signature::exact(vec![DataType::Int64; operands.len()], Volatility::Immutable);
    ScalarUDF::new_from_impl(CheckedFunction { operations, signature }).call(operands)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum IntegerOperation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl IntegerOperation {
    const fn of(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Subtract),
            Operator::Multiply => Some(Self::Multiply),
            Operator::Divide => Some(Self::Divide),
            Operator::Modulo => Some(Self::Modulo),
            _ => None,
        }
    }

    /// Whether DataFusion wraps around. Its quotients are right or fail.
    const fn can_wrap(self) -> bool {
        matches!(self, Self::Add | Self::Subtract | Self::Multiply)
    }

    const fn precedence(self) -> u8 {
        match self {
            Self::Add | Self::Subtract => 0,
            Self::Multiply | Self::Divide | Self::Modulo => 1,
        }
    }

    fn apply(self, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
        let operation = match self {
            Self::Add => add,
            Self::Subtract => sub,
            Self::Multiply => mul,
            Self::Divide => div,
            Self::Modulo => rem,
        };
        apply(left, right, |left, right| -> Result<ArrayRef, ArrowError> {
            operation(left, right).map_err(|error| match error {
                ArrowError::ArithmeticOverflow(text) => ArrowError::ComputeError(too_large(&text)),
                other => other,
            })
        })
    }
}

/// Operations on columns of int64, from left to right, as DataFusion sees them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedFunction {
    /// One less than there are operands.
    operations: Vec<IntegerOperation>,
    signature: Signature,
}

impl ScalarUDFImpl for CheckedFunction {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((first, others)) = args.args.split_first() else { return exec_err!("expected integers") };
        let mut steps = self.operations.iter().zip(others);
        steps.try_fold(first.clone(), |result, (operation, operand)| operation.apply(&result, operand))
    }
}

/// The message for a result that does not fit.
fn too_large(text: &str) -> String {
    let operation = text.strip_prefix("Overflow happened on: ").unwrap_or(text);
    format!("`{operation}` does not fit a 64-bit integer: cast one side to double or decimal(38, 0)")
}
